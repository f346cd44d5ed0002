import {
  access,
  choice,
  domain,
  duration,
  flag,
  from,
  integer,
  notYet,
  optional,
  port,
  secret,
  text,
  url,
} from '../../options.ts'

export const oauth = {
  global: {
    oauth_expire: notYet(duration(4_294_967, 'How long a token is valid.')),
    oauth_db_type: notYet(
      choice(['mnesia', 'sql', 'rest'], from('default_db'), 'Where tokens are kept.'),
    ),
    oauth_use_cache: notYet(flag(from('use_cache'), 'Whether tokens are cached.')),
    oauth_cache_size: notYet(
      integer({ min: 1, orInfinity: true }, from('cache_size'), 'Tokens that are cached.'),
    ),
    oauth_cache_life_time: notYet(
      duration(from('cache_life_time'), 'How long they are cached.', { orInfinity: true }),
    ),
    oauth_cache_missed: notYet(
      flag(from('cache_missed'), 'Whether it is cached that a token is not there.'),
    ),
    oauth_cache_rest_failure_life_time: notYet(
      duration('infinity', 'How long a failed look-up is remembered.', { orInfinity: true }),
    ),
    ext_api_path_oauth: notYet(text('/oauth', 'Path of requests about tokens.')),
  },
  host: {
    oauth_access: notYet(access('none', 'Who may get tokens.')),
    oauth_client_id_check: notYet(
      choice(['allow', 'deny', 'db'], 'db', 'Whether clients have to be known.'),
    ),
    ext_api_url: notYet(url('http://localhost/api', 'Address of the external REST service.')),
    ext_api_headers: notYet(secret(text('', 'Headers for it, "Name:value" joined by commas.'))),
    ext_api_http_pool_size: notYet(integer({ min: 1 }, 100, 'Connections to it.')),
    rest_proxy: notYet(domain(optional, 'Proxy for these requests.')),
    rest_proxy_port: notYet(port(optional, 'Port of the proxy.')),
    rest_proxy_username: notYet(text('', 'Name to log in with there.')),
    rest_proxy_password: notYet(secret(text('', 'Password to log in with there.'))),
  },
}
