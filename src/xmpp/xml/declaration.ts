import type { XmlError } from './errors.ts'

const pattern =
  /^<\?xml\s+version\s*=\s*(?:"1\.\d+"|'1\.\d+')(?:\s+encoding\s*=\s*(?:"([A-Za-z][-A-Za-z0-9._]*)"|'([A-Za-z][-A-Za-z0-9._]*)'))?(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*\?>$/

/** What is wrong with an XML declaration (XML 1.0 §2.8), if anything. */
export function checkDeclaration(text: string): XmlError | undefined {
  const match = pattern.exec(text)
  if (match !== null) {
    const encoding = match[1] ?? match[2] ?? 'utf-8'
    if (encoding.toLowerCase() === 'utf-8') return undefined
    // RFC 6120 §11.6
    return { condition: 'unsupported-encoding', detail: 'Encoding other than UTF-8' }
  }
  return /^<\?xml\s/.test(text)
    ? { condition: 'not-well-formed', detail: 'Malformed XML declaration' }
    : { condition: 'restricted-xml', detail: 'Processing instruction' }
}
