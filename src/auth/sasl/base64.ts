const shape = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Strict base64 (RFC 4648 §4): no white space, padding in place, no bits left over. Undefined when it is not. */
export function decodeBase64(text: string): Buffer | undefined {
  if (!shape.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** The content of `<auth/>` and `<response/>`: `=` stands for no bytes at all (RFC 6120 §6.4.2). */
export function decodeSaslText(text: string): Buffer | undefined {
  return text === '=' ? Buffer.alloc(0) : decodeBase64(text)
}
