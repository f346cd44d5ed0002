import type { FieldServer } from './field-server.ts'
import { PythonClient, pahoSettings } from './paho.ts'
import type { PahoOptions } from './paho.ts'

/** State and availability of each entity, by component and object identifier. */
export type Entities = Readonly<
  Record<string, readonly [state: string | null, availability: string | null]>
>

/** A client that does what Home Assistant's does. */
export class HomeAssistant extends PythonClient {
  constructor(server: FieldServer, options: PahoOptions = {}) {
    super('home_assistant.py', pahoSettings(server, { clientId: 'home-assistant', ...options }))
  }

  /** What it knows as soon as that is so. */
  async shows(isWanted: (entities: Entities) => boolean): Promise<Entities> {
    const { entities } = await this.line(
      (line) => line['event'] === 'entities' && isWanted(line['entities'] as Entities),
    )
    return entities as Entities
  }

  /** Resolves when it has said that it is there, which is after the first wave of retained messages. */
  async born(): Promise<void> {
    await this.event('born')
  }

  command(topic: string, payload: string): void {
    this.send({ do: 'command', topic, payload })
  }
}
