/**
 * The stream error that answers bad XML (RFC 6120 §4.9.3). `invalid-xml` is not among them: it is for
 * servers that validate against a schema (RFC 6120 §11.4).
 */
export type XmlCondition =
  | 'bad-format'
  | 'bad-namespace-prefix'
  | 'not-well-formed'
  | 'policy-violation'
  | 'restricted-xml'
  | 'unsupported-encoding'

export interface XmlError {
  readonly condition: XmlCondition
  /** For the log and the `<text/>` of the stream error; quotes nothing that the peer sent. */
  readonly detail: string
}
