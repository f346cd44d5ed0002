import { choice, duration, from, integer, notYet, port, secret, text } from '../../options.ts'

export const redis = {
  global: {
    redis_server: notYet(text('localhost', 'Host name, address, or unix:PATH of a socket.')),
    redis_port: notYet(port(6379, 'Port of the server.')),
    redis_db: notYet(integer({ min: 0 }, 0, 'Number of the database.')),
    redis_password: notYet(secret(text('', 'Password to log in with.'))),
    redis_pool_size: notYet(integer({ min: 1 }, 10, 'Connections to the server.')),
    redis_connect_timeout: notYet(
      duration('1 second', 'How long to wait before connecting again.'),
    ),
    redis_queue_type: notYet(choice(['ram', 'file'], from('queue_type'), 'Where requests wait.')),
  },
  host: {},
}
