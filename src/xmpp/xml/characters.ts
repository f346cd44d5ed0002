// What each byte means where it stands. Bytes from 0x80 on are parts of UTF-8 sequences.

/** In character data: 0 is nothing special. */
export const TEXT_LT = 1
export const TEXT_AMP = 2
export const TEXT_GT = 3
export const TEXT_CR = 4
export const TEXT_ILLEGAL = 5
export const TEXT_HIGH = 6
export const textClass = new Uint8Array(256)

/** In attribute values: 0 is nothing special. */
export const VALUE_QUOTE = 1
export const VALUE_AMP = 2
export const VALUE_LT = 3
export const VALUE_SPACE = 4
export const VALUE_ILLEGAL = 5
export const VALUE_HIGH = 6
export const valueClass = new Uint8Array(256)

/** In names. The colon is no part of an NCName, so it has a class of its own. */
export const NAME_OTHER = 0
export const NAME_START = 1
export const NAME_CHAR = 2
export const NAME_COLON = 3
export const NAME_HIGH = 4
/** White space, which is no part of a name: told apart because it is what follows most names. */
export const NAME_SPACE = 5
export const nameClass = new Uint8Array(256)

for (let byte = 0; byte < 256; byte++) {
  const char = String.fromCharCode(byte)
  if (byte >= 0x80) {
    textClass[byte] = TEXT_HIGH
    valueClass[byte] = VALUE_HIGH
    nameClass[byte] = NAME_HIGH
  } else if (byte < 0x20 && !'\t\n\r'.includes(char)) {
    textClass[byte] = TEXT_ILLEGAL
    valueClass[byte] = VALUE_ILLEGAL
  } else if (/[A-Za-z_]/.test(char)) nameClass[byte] = NAME_START
  else if (/[-.0-9]/.test(char)) nameClass[byte] = NAME_CHAR
}
nameClass[0x3a] = NAME_COLON
for (const byte of [0x09, 0x0a, 0x0d, 0x20]) nameClass[byte] = NAME_SPACE
textClass[0x3c] = TEXT_LT
textClass[0x26] = TEXT_AMP
textClass[0x3e] = TEXT_GT
textClass[0x0d] = TEXT_CR
valueClass[0x22] = VALUE_QUOTE
valueClass[0x27] = VALUE_QUOTE
valueClass[0x26] = VALUE_AMP
valueClass[0x3c] = VALUE_LT
for (const byte of [0x09, 0x0a, 0x0d]) valueClass[byte] = VALUE_SPACE

// These loops see most bytes. On their own V8 makes them four times as fast as inside the scanner.

const plainInName = nameClass.map((kind) => (kind === NAME_START || kind === NAME_CHAR ? 1 : 0))

/** The position of the first byte from `from` on that means something in character data. */
export function skipText(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && textClass[bytes[at] ?? 0] === 0) at++
  return at
}

export function skipValue(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && valueClass[bytes[at] ?? 0] === 0) at++
  return at
}

/** The position of the first byte that is no ASCII letter, digit, '-', '.' or '_'. */
export function skipName(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && plainInName[bytes[at] ?? 0] === 1) at++
  return at
}

export const UTF8_MORE = 0
export const UTF8_INVALID = -1
export const UTF8_NOT_CHAR = -2

/**
 * The length of the UTF-8 sequence whose first byte, 0x80 or more, is at `at`; or why there is none:
 * not all of it is there yet, it breaks RFC 3629 §4, or it is U+FFFE or U+FFFF, which XML forbids.
 */
export function utf8Length(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at] ?? 0
  if (lead < 0xc2 || lead > 0xf4) return UTF8_INVALID
  if (at + 1 >= end) return UTF8_MORE
  const second = bytes[at + 1] ?? 0
  if ((second & 0xc0) !== 0x80) return UTF8_INVALID
  if (lead < 0xe0) return 2
  if (lead < 0xf0) {
    // Overlong forms, then surrogates.
    if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && second > 0x9f)) return UTF8_INVALID
    if (at + 2 >= end) return UTF8_MORE
    const third = bytes[at + 2] ?? 0
    if ((third & 0xc0) !== 0x80) return UTF8_INVALID
    return lead === 0xef && second === 0xbf && third >= 0xbe ? UTF8_NOT_CHAR : 3
  }
  if ((lead === 0xf0 && second < 0x90) || (lead === 0xf4 && second > 0x8f)) return UTF8_INVALID
  if (at + 2 >= end) return UTF8_MORE
  if (((bytes[at + 2] ?? 0) & 0xc0) !== 0x80) return UTF8_INVALID
  if (at + 3 >= end) return UTF8_MORE
  return ((bytes[at + 3] ?? 0) & 0xc0) === 0x80 ? 4 : UTF8_INVALID
}

/** XML 1.0 §2.2, production Char. */
export function isXmlChar(codePoint: number): boolean {
  if (codePoint < 0x20) return codePoint === 0x9 || codePoint === 0xa || codePoint === 0xd
  return (
    codePoint < 0xd800 ||
    (codePoint > 0xdfff && codePoint < 0xfffe) ||
    (codePoint > 0xffff && codePoint < 0x110000)
  )
}

// XML 1.0 §2.3, productions NameStartChar and NameChar without the colon: Namespaces in XML §3, NCName.
const startChars =
  'A-Z_a-z\\u{C0}-\\u{D6}\\u{D8}-\\u{F6}\\u{F8}-\\u{2FF}\\u{370}-\\u{37D}\\u{37F}-\\u{1FFF}\\u{200C}\\u{200D}' +
  '\\u{2070}-\\u{218F}\\u{2C00}-\\u{2FEF}\\u{3001}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFFD}\\u{10000}-\\u{EFFFF}'
const ncName = new RegExp(
  `^[${startChars}][${startChars}\\-.0-9\\u{B7}\\u{300}-\\u{36F}\\u{203F}\\u{2040}]*$`,
  'u',
)

export function isNcName(name: string): boolean {
  return ncName.test(name)
}
