// Plan and case to arrays.
export { normalize, type Scheme, schemes } from './normalize.js';
