// How files of a data set are read where nnU-Net lets it choose: turned to RAS, or as stored.
import { fromRas, type ReadOptions, readVolume, toRas, type Volume, writeVolume } from '../volume/index.js';
import type { CaseFiles, DatasetJson } from './dataset.js';

/** nnU-Net's readers. All but the turning one read as this library does: the file's ending decides. */
export const readerNames = ['NaturalImage2DIO', 'SimpleITKIO', 'Tiff3DIO', 'NibabelIO', 'NibabelIOWithReorient'];

/** How a reader's name has files read. */
export const readerFor = (name: string | undefined): CaseFiles['reader'] =>
  name === 'NibabelIOWithReorient' ? 'reorient' : undefined;

/** The reader that `dataset.json` asks for. */
export const readerOf = ({ overwrite_image_reader_writer: name }: Pick<DatasetJson, 'overwrite_image_reader_writer'>) =>
  readerFor(name);

/** Reads a file of a case as its reader has it. */
export function readAs(file: string, reader: CaseFiles['reader'], options?: ReadOptions): Volume {
  const volume = readVolume(file, options);
  return reader === 'reorient' ? toRas(volume) : volume;
}

/**
 * Writes labels that lie on the grid of a case as its reader gave it, in the geometry in which the image is stored.
 * @param files the case: its first image is asked for the geometry where it was turned
 */
export function writeAs(file: string, volume: Volume, { images, reader }: Pick<CaseFiles, 'images' | 'reader'>): void {
  const back = reader === 'reorient' ? fromRas(volume, readVolume(images[0], { onWarning: () => {} })) : volume;
  writeVolume(file, back);
}
