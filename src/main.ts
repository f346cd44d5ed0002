import { parseArgs } from 'node:util'

/*
 * argv, environment, signals; starts and stops the server, decides nothing. What a command does not need is not loaded:
 * `linnet status` must not wait for the server's own code.
 */
const usage = `Usage: linnet serve [--config FILE] [--data DIR]    run the server in the foreground
       linnet check-config [--config FILE]          check a configuration, change nothing
       linnet [--data DIR] COMMAND [ARGUMENT ...]   tell the running server to do something
       linnet help [COMMAND|TAG|tags]               what the running server can be told
       linnet --version | --help

Options of commands: --version N (API version), --auth USER HOST PASSWORD
Environment: LINNET_CONFIG_PATH, EJABBERD_CONFIG_PATH, LINNET_DATA_DIR
`

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  const [first] = argv
  switch (first) {
    case undefined:
      process.stderr.write(usage)
      return 2
    case '--help':
    case '-h':
      process.stdout.write(usage)
      return 0
    case '--version':
      // With a number it chooses the API version of a command.
      if (argv.length > 1) return control(argv)
      process.stdout.write(`linnet ${(await import('./server/version.ts')).version}\n`)
      return 0
    case 'serve':
    case 'check-config':
      return local(first, argv.slice(1))
    default:
      return control(argv)
  }
}

async function local(what: 'serve' | 'check-config', argv: readonly string[]): Promise<number> {
  let options: { config?: string | undefined; data?: string | undefined }
  try {
    options = parseArgs({
      args: [...argv],
      options: { config: { type: 'string', short: 'f' }, data: { type: 'string' } },
    }).values
  } catch (error) {
    process.stderr.write(`linnet: ${error instanceof Error ? error.message : String(error)}\n`)
    return 2
  }
  if (what === 'check-config') {
    const { checkConfig } = await import('./server/check-config.ts')
    return checkConfig(options)
  }
  const { serve } = await import('./server/serve.ts')
  const code = await serve(options, (status) => process.exit(status))
  // Should a driver still hold a handle: everything is closed and committed, so nobody waits for it.
  setTimeout(() => process.exit(code), 1000).unref()
  return code
}

async function control(argv: readonly string[]): Promise<number> {
  const { runCommand } = await import('./admin/cli.ts')
  return runCommand(argv)
}
