import type { Statement } from './types.ts'

/**
 * Where MQTT 3.1 (IBM and Eurotech, 2010) is another protocol than 3.1.1. It has no numbered statements: the numbers are its
 * sections and a counter of ours.
 */
export const mqtt31: readonly Statement[] = [
  {
    id: '1-1',
    duty: 'server',
    rule: 'All else is as in 3.1.1; clients of all versions meet.',
    where: ['src/mqtt/send.ts#sendMessage'],
  },
  {
    id: '2.1-1',
    duty: 'server',
    rule: 'Unused flags of the fixed header are not looked at, and DUP may be set on PUBREL, SUBSCRIBE and UNSUBSCRIBE.',
    where: ['src/mqtt/packet/decode.ts#flagsAreValid'],
  },
  {
    id: '2.1-2',
    duty: 'server',
    rule: 'DUP at QoS 0 is not forbidden: it is taken, and not handed on.',
    where: ['src/mqtt/packet/publish-view.ts#decodePublish', 'src/mqtt/forward.ts#isPlain'],
  },
  {
    id: '3.1-1',
    duty: 'server',
    rule: 'The protocol is called MQIsdp and has level 3.',
    where: ['src/mqtt/packet/connect.ts#MQIsdp'],
  },
  {
    id: '3.1-2',
    duty: 'choice',
    rule: 'Client identifiers have 1 to 23 characters, others are refused with return code 2.',
    where: ['src/mqtt/identity.ts#nameOf'],
    reason:
      'Longer ones are taken, as by other brokers: clients of 3.1 have them. Empty ones are refused.',
  },
  {
    id: '3.1-3',
    duty: 'server',
    rule: 'User name and password are absent where the packet has no room for them, whatever the flags say.',
    where: ['src/mqtt/packet/connect.ts#hasField'],
  },
  {
    id: '3.1-4',
    duty: 'server',
    rule: 'Connect flags that mean nothing are not looked at.',
    where: ['src/mqtt/packet/connect.ts#checkConnectFlags'],
  },
  {
    id: '3.2-1',
    duty: 'server',
    rule: 'CONNACK does not tell whether there was a session: the byte is 0.',
    where: ['src/mqtt/packet/encode.ts#packet.sessionPresent && version > 3'],
  },
  {
    id: '3.8-1',
    duty: 'server',
    rule: 'Unused bits beside the requested QoS are not looked at.',
    where: ['src/mqtt/packet/body.ts#readOptions'],
  },
  {
    id: '3.8-2',
    duty: 'choice',
    rule: 'SUBACK knows no failure: a refused subscription looks granted.',
    where: ['src/mqtt/packet/reason-code.ts#subackByte'],
    reason: 'The return code 0x80 of 3.1.1 is sent, as other brokers do: to be told is better.',
  },
  {
    id: '4.2-1',
    duty: 'choice',
    rule: 'What is not acknowledged within some time may be sent again on the same connection.',
    where: ['src/mqtt/outgoing.ts#beginResend'],
    reason: 'TCP loses nothing: it is sent again on the next connection only, as 3.1.1 has it.',
  },
]
