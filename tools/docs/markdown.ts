/** A table of cells in Markdown; the cells are Markdown themselves. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |\n`
  return `${line(head)}|${head.map(() => '---').join('|')}|\n${rows.map(line).join('')}`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}

export function code(text: string): string {
  return text === '' ? '' : `\`${text}\``
}

/** A link from a page in `docs/` to a file of the repository. */
export function fileLink(path: string, text: string = path): string {
  return `[${text}](../${path})`
}

export function page(title: string, ...parts: readonly string[]): string {
  const note = '<!-- Written by `npm run docs`: change the code or its tests, not this page. -->'
  return `${[`# ${title}`, note, ...parts.map((part) => part.trimEnd())].join('\n\n')}\n`
}
