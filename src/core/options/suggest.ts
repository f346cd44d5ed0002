import { didYouMean as nearest } from '../../util/did-you-mean.ts'

/** `, did you mean "access_publish"?`, or nothing when no candidate is near. */
export function didYouMean(written: string, candidates: Iterable<string>): string {
  const candidate = nearest(written, candidates)
  return candidate === undefined ? '' : `, did you mean "${candidate}"?`
}
