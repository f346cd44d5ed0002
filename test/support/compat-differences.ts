import type { CommandStep } from './compat-transcript.ts'

/** Where a command answers otherwise than ejabberd 23.01 on purpose. `docs/differences.md` has these as a table. */
export interface Difference {
  /** The transcript and the command in it, as they are written there. */
  readonly transcript: string
  readonly command: string
  readonly exit: number
  /** What Linnet prints, with `{text}` and its like; the same as ejabberd when absent. */
  readonly output?: string
  readonly reason: string
}

export interface Rewriting {
  readonly reason: string
  readonly from: RegExp
  readonly to: string
}

/** What differs in the output of every command. */
export const rewritings: readonly Rewriting[] = [
  {
    reason: 'The node is called `linnet@localhost`.',
    from: /ejabberd@localhost/g,
    to: 'linnet@localhost',
  },
  {
    reason: '`status` names Linnet and its version.',
    from: /ejabberd \S+ is running in that node/g,
    to: 'linnet {word} is running in that node',
  },
  {
    reason: 'Help does not name an Erlang module.',
    from: / {2}Module: \{text\}\n\n/g,
    to: '',
  },
]

const wrongUsage =
  'Wrong arguments exit with 2, as in newer versions of ejabberd; 23.01 exits with 1.'
const crash =
  'ejabberd crashes and prints the stack of its process; Linnet says what is wrong in one line.'

const versionTwo =
  'The newest API version answers, as in ejabberd 24.06 and later: bans can be lifted.'
const kicked =
  'The newest API version of `kick_user` answers with a sentence, as in ejabberd 24.06 and later.'
const hint = 'A suggestion is made only when a name is near.'

const wrongArguments = [
  'register',
  'register user1',
  'register user1 localhost',
  'register user1 localhost Pass more',
  'status more',
  'user_resources user1',
  'kick_session user1 localhost phone',
]

export const differences: readonly Difference[] = [
  {
    transcript: 'bans',
    command: 'ban_account nobody localhost spam',
    exit: 1,
    output: 'Error: account_does_not_exist\n',
    reason: versionTwo,
  },
  {
    transcript: 'bans',
    command: 'ban_account user1 nowhere.example spam',
    exit: 1,
    output: 'Error: account_does_not_exist\n',
    reason: versionTwo,
  },
  {
    transcript: 'bans',
    command: 'unban_account user1 localhost',
    exit: 0,
    output: '',
    reason: versionTwo,
  },
  ...['user1 localhost', 'nobody localhost', 'user1 nowhere.example'].map((account) => ({
    transcript: 'sessions',
    command: `kick_user ${account}`,
    exit: 0,
    output: 'Kicked sessions: {integer}\n',
    reason: kicked,
  })),
  ...wrongArguments.map((command) => ({
    transcript: 'usage',
    command,
    exit: 2,
    reason: wrongUsage,
  })),
  ...['no_such_command', 'no_such_command with words'].map((command) => ({
    transcript: 'usage',
    command,
    exit: 1,
    output: "Error: unknown command 'no_such_command'.\n",
    reason: hint,
  })),
  ...['get_last user1 nowhere.example', 'set_last user1 nowhere.example 1600000000 x'].map(
    (command) => ({
      transcript: 'last',
      command,
      exit: 1,
      output: '{text}nowhere.example{text}\n',
      reason: crash,
    }),
  ),
  {
    transcript: 'last',
    command: 'set_last user1 localhost soon x',
    exit: 2,
    output: `{lines}\nError: argument 'timestamp': expected an integer, got "soon"\n`,
    reason: crash,
  },
  ...['stats nonsense', 'stats_host nonsense localhost'].map((command) => ({
    transcript: 'server',
    command,
    exit: 1,
    output: 'Error: error\nError: "unknown statistic \\"nonsense\\""\n',
    reason: crash,
  })),
  {
    transcript: 'server',
    command: 'set_loglevel 3',
    exit: 0,
    output: '',
    reason: 'The old numbers of levels are taken as well: 3 is `warning`.',
  },
  {
    transcript: 'server',
    command: 'dump_config {dir}/no/such/folder.yml',
    exit: 1,
    output: 'Error: {text}\n',
    reason: 'A file that cannot be written is an error; ejabberd says nothing.',
  },
  {
    transcript: 'hashes',
    command: 'convert_to_scram nowhere.example',
    exit: 1,
    output: 'Error: error\nError: "Unknown virtual host"\n',
    reason: 'A host that is not served is an error; ejabberd says nothing.',
  },
]

/** The step as Linnet should answer it. */
export function expectedOf(transcript: string, step: CommandStep): CommandStep {
  const own = differences.find(
    (difference) => difference.transcript === transcript && difference.command === step.text,
  )
  let { output } = step
  for (const { from, to } of rewritings) output = output.replaceAll(from, to)
  return { ...step, exit: own?.exit ?? step.exit, output: own?.output ?? output }
}
