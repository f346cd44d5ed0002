import { monitorEventLoopDelay, performance } from 'node:perf_hooks'

/** Measures how late the event loop is, from the first time that somebody asks. */
let delays: ReturnType<typeof monitorEventLoopDelay> | undefined

const nanoseconds = 1e9
const microseconds = 1e6

/**
 * The process's figures in the text format of Prometheus, under the names that its client libraries have given them, so that
 * dashboards for Node.js work. Delays are those since the figures were last asked for.
 */
export function processFigures(): string {
  if (delays === undefined) {
    delays = monitorEventLoopDelay({ resolution: 20 })
    delays.enable()
  }
  const memory = process.memoryUsage()
  const cpu = process.cpuUsage()
  const delay = { p50: delays.percentile(50), p99: delays.percentile(99), max: delays.max }
  // Nothing was measured yet: the histogram's least value stands for "none".
  const isEmpty = delays.count === 0
  delays.reset()
  const figures: readonly (readonly [name: string, type: string, help: string, value: number])[] = [
    [
      'process_cpu_user_seconds_total',
      'counter',
      'CPU time in the process.',
      cpu.user / microseconds,
    ],
    [
      'process_cpu_system_seconds_total',
      'counter',
      'CPU time in the kernel.',
      cpu.system / microseconds,
    ],
    [
      'process_cpu_seconds_total',
      'counter',
      'CPU time of both kinds.',
      (cpu.user + cpu.system) / microseconds,
    ],
    [
      'process_start_time_seconds',
      'gauge',
      'When the process was started, since 1970.',
      performance.timeOrigin / 1000,
    ],
    ['linnet_uptime_seconds', 'gauge', 'How long the process has been running.', process.uptime()],
    ['process_resident_memory_bytes', 'gauge', 'Memory in use.', memory.rss],
    ['nodejs_heap_size_total_bytes', 'gauge', 'Memory set aside for objects.', memory.heapTotal],
    ['nodejs_heap_size_used_bytes', 'gauge', 'Memory that objects take up.', memory.heapUsed],
    ['nodejs_external_memory_bytes', 'gauge', 'Memory outside the heap.', memory.external],
    [
      'nodejs_eventloop_lag_p50_seconds',
      'gauge',
      'Delay of the event loop, median.',
      isEmpty ? 0 : delay.p50 / nanoseconds,
    ],
    [
      'nodejs_eventloop_lag_p99_seconds',
      'gauge',
      'Delay of the event loop, 99th percentile.',
      isEmpty ? 0 : delay.p99 / nanoseconds,
    ],
    [
      'nodejs_eventloop_lag_max_seconds',
      'gauge',
      'Delay of the event loop, longest.',
      isEmpty ? 0 : delay.max / nanoseconds,
    ],
  ]
  let text = ''
  for (const [name, type, help, value] of figures) {
    text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`
  }
  return text
}
