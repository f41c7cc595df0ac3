// How large a patch the loader cuts so that a rotated one is still full, and how far patches rotate (nnU-Net v2 `get_patch_size`,
// `configure_rotation_dummyDA_mirroring_and_inital_patch_size`).

/** How a configuration's patch may be turned, and what the loader cuts for it. */
export interface PatchRules {
  /** Largest rotation about each axis in radians. */
  rotation: number;
  /** The patch is so anisotropic that its slices are augmented as 2-D images. */
  dummy2d: boolean;
  /** What the loader cuts, voxels. */
  initialPatchSize: number[];
  /** Axes that may be mirrored. */
  mirrorAxes: number[];
}

/**
 * Rotation, dummy 2-D augmentation and the loader's patch for a patch of the network.
 * @param patch two or three sides, voxels
 * @param limit another rotation limit (radians) for 3-D patches that are not anisotropic; ±30° by default
 * @param smallestScale what the enlarged patch is divided by; nnU-Net says 0.85 although it scales down to 0.7
 */
export function patchRules(patch: readonly number[], limit = Math.PI / 6, smallestScale = 0.85): PatchRules {
  const sides = [...patch];
  const largest = Math.max(...sides);
  const mirrorAxes = sides.map((_, axis) => axis);
  if (sides.length === 2) {
    const rotation = largest / Math.min(...sides) > 1.5 ? Math.PI / 12 : Math.PI;
    return { rotation, dummy2d: false, initialPatchSize: initialPatchSize(sides, rotation, smallestScale), mirrorAxes };
  }
  const dummy2d = largest / sides[0] > 3;
  if (!dummy2d) return { rotation: limit, dummy2d, initialPatchSize: initialPatchSize(sides, limit, smallestScale), mirrorAxes };
  const inPlane = initialPatchSize(sides, Math.PI, smallestScale);
  return { rotation: Math.PI, dummy2d, initialPatchSize: [sides[0], ...inPlane.slice(1)], mirrorAxes };
}

/** The box that holds `patch` turned by `rotation` (at most 90°) about each axis in turn, divided by the smallest scale. */
export function initialPatchSize(patch: readonly number[], rotation: number, smallestScale = 0.85): number[] {
  const angle = Math.min(Math.PI / 2, Math.abs(rotation));
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const [p0, p1, p2] = patch;
  const turned =
    patch.length === 2
      ? [[p0 * c + p1 * s, -p0 * s + p1 * c]]
      : [
          [p0, p1 * c + p2 * s, -p1 * s + p2 * c],
          [p0 * c - p2 * s, p1, p0 * s + p2 * c],
          [p0 * c + p1 * s, -p0 * s + p1 * c, p2],
        ];
  return patch.map((side, axis) => Math.trunc(Math.max(side, ...turned.map((t) => Math.abs(t[axis]))) / smallestScale));
}
