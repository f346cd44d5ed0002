import {
  accepted,
  computed,
  flag,
  language,
  list,
  map,
  notYet,
  option,
  optional,
  required,
  t,
  text,
} from '../../options.ts'

const erlangModules = 'it installs modules written for Erlang, which cannot run here'

const includeType = t.oneOf([
  t.list(t.oneOf([t.text, t.map(t.text, t.any)])),
  t.map(
    t.text,
    t.record({
      allow_only: list(t.text, optional, 'The only options taken from the file.'),
      disallow: list(t.text, optional, 'Options not taken from the file.'),
    }),
  ),
])

const any = t.map(t.text, t.any)

export const general = {
  global: {
    hosts: list(t.domain, required, 'The domains served; at least one.', {
      nonEmpty: true,
      unique: true,
    }),
    host_config: map(t.domain, any, {}, 'Options that differ for a host, by host.'),
    append_host_config: map(
      t.domain,
      any,
      {},
      'Lists and maps that are longer for a host, by host.',
    ),
    hosts_alias: map(
      t.glob,
      t.domain,
      {},
      'Other names (globs) under which HTTP requests reach a host.',
    ),
    define_macro: map(
      t.text,
      t.any,
      {},
      'Values to be put in place of a name, or of @NAME@ in text.',
    ),
    listen: list(any, [], 'What the server listens on.'),
    version: text(
      computed((lookUp) => {
        const version = lookUp('@version')
        return typeof version === 'string' ? version : 'unknown'
      }, 'the version of the server'),
      'The version shown to clients.',
    ),
    validate_stream: notYet(flag(false, 'Check every incoming element against the schemas.')),
    fqdn: notYet(list(t.domain, optional, 'Own host names, for the digest-uri of DIGEST-MD5.')),
    allow_contrib_modules: accepted(
      flag(true, 'Permit installing modules of third parties.'),
      erlangModules,
    ),
    install_contrib_modules: accepted(
      list(t.text, [], 'Modules of third parties to install at start.'),
      erlangModules,
    ),
  },
  host: {
    include_config_file: option(includeType, [], 'Further files to read.'),
    define_keyword: map(t.text, t.any, {}, 'Values to be put in place of @NAME@ in options.'),
    modules: option(any, {}, 'The modules to run, with their options.'),
    language: language('en', 'Language of texts for clients that ask for none.'),
  },
}
