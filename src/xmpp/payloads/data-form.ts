import { xml } from '../xml/element.ts'
import type { Element } from '../xml/element.ts'

export const dataFormsNs = 'jabber:x:data'

export type FieldType =
  | 'boolean'
  | 'fixed'
  | 'hidden'
  | 'jid-multi'
  | 'jid-single'
  | 'list-multi'
  | 'list-single'
  | 'text-multi'
  | 'text-private'
  | 'text-single'

export interface FormField {
  readonly name: string
  readonly values: readonly string[]
  readonly type?: FieldType
}

/** A form that only tells something (XEP-0004 §3.1, type `result`); `formType` says what its fields mean (XEP-0068 §3). */
export function resultForm(formType: string, fields: readonly FormField[]): Element {
  const all: readonly FormField[] = [
    { name: 'FORM_TYPE', type: 'hidden', values: [formType] },
    ...fields,
  ]
  return xml('x', dataFormsNs, { type: 'result' }, ...all.map(fieldElement))
}

function fieldElement({ name, type, values }: FormField): Element {
  const children = values.map((value) => xml('value', dataFormsNs, {}, value))
  return xml('field', dataFormsNs, { var: name, type }, ...children)
}
