"""The MQTT rows of bench/RESULTS.md: which scenarios run on which servers, and the tables of what came of them."""
import statistics

# In this order in the tables, as far as they are installed. The forwarder is no broker.
BROKERS = ['linnet', 'mosquitto', 'nats', 'ejabberd', 'aedes-node26', 'node-relay']
NAMES = {'nats': 'NATS', 'aedes-node26': 'aedes', 'node-relay': 'bare forwarder'}
WORK = {  # scenario: (what it is, Linnet's CPU time per message at most, as a fraction of mosquitto's)
    'fanin-q0': ('fan-in 200→1, QoS 0', 0.12),
    'fanin-q1': ('fan-in 200→1, QoS 1', None),
    'fanout-q0': ('fan-out 1→500, QoS 0', 0.25),
    'fanout-q1': ('fan-out 1→500, QoS 1', 0.25),
    'p2p-q0': ('500 pairs, QoS 0, 32 in flight each', 0.16),
    'p2p-q0-w1': ('500 pairs, QoS 0, one in flight each', 1.2),
    'p2p-q1': ('500 pairs, QoS 1, 16 in flight each', 0.2),
    'p2p-q2': ('500 pairs, QoS 2, 16 in flight each', 0.25),
    'retained': ('5 000 retained × 4 subscribers', 0.5),
    'lat-p2p-q0': ('100 pairs, QoS 0, 4 000 a second', None),
}
PACED, DURABLE = 'lat-p2p-q0', 'durable-q1'
CONNECTIONS = {'conn': '10 000 clients', 'conn-tls': '5 000 clients over TLS'}
# scenario: what it is. One run each: they take long, and what they show does not hang on some per cent.
LARGE = {
    'subs-1m': 'a million wildcard subscriptions, ten match each message',
    'retained-1m': 'a million retained messages to a subscriber of `#`',
}
STALL_MS = 50


def calls(scenarios, runs):
    """(brokers, scenarios, runs) of each call of mqtt-compare.py"""
    pick = lambda known: [s for s in known if s in scenarios]
    parts = [(BROKERS, pick([*WORK, *CONNECTIONS]), runs), (['linnet', 'mosquitto-persistent'], pick([DURABLE]), runs),
             (['linnet', 'mosquitto'], pick(LARGE), 1)]
    return [p for p in parts if p[1]]


ALL = [*WORK, DURABLE, *CONNECTIONS, *LARGE]


def number(value, digits=0):
    return '–' if value is None else '{:,.{}f}'.format(value, digits).replace(',', ' ')


def fraction(own, other):
    return None if own is None or not other else own / other


def verdict(is_met):
    return '–' if is_met is None else 'met' if is_met else '**missed**'


def at_most(value, limit):
    return verdict(None if value is None or limit is None else value <= limit)


def table(head, rows):
    return ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|', *('| ' + ' | '.join(r) + ' |' for r in rows), '']


class Results:
    def __init__(self, results):
        self.results = results
        self.names = [n for n in BROKERS if n in results]

    def runs(self, name, scen):
        return self.results.get(name, {}).get(scen, [])

    def median(self, name, scen, get):
        values = [get(x) for x in self.runs(name, scen) if x.get('ok')]
        values = [v for v in values if v is not None]
        return statistics.median(values) if values else None

    def cpu(self, name, scen):
        return self.median(name, scen, lambda x: x['broker_cpu_us_per_msg'])

    def rate(self, name, scen):
        return self.median(name, scen, lambda x: x['msgs_per_s'])

    def p99(self, name, scen):
        return fraction(self.median(name, scen, lambda x: x['lat_us']['p99']), 1000)

    def stall(self, name, scen):
        """the longest of all runs: "never" allows no median"""
        values = [x['stall_ms'] for x in self.runs(name, scen) if x.get('stall_ms') is not None]
        return max(values) if values else None

    def trouble(self, name, scen):
        """runs that failed, and what was lost in the others: a figure without it would say too much"""
        runs = self.runs(name, scen)
        ok = [x for x in runs if x.get('ok')]
        if len(ok) < len(runs):
            return ', %d of %d runs failed' % (len(runs) - len(ok), len(runs))
        worst = max((x.get('lost', 0) + x['disconnects'] for x in ok), default=0)
        return ', lost %d' % worst if worst else ''

    def counts(self, scenarios):
        found = sorted({len(self.runs(n, s)) for n in self.results for s in scenarios} - {0})
        if not found:
            return 'no runs'
        return '%d run%s' % (found[0], '' if found == [1] else 's') if len(found) == 1 else '%d to %d runs' % (found[0], found[-1])


def work_tables(r):
    lines = ['CPU time of the server per delivered message, as a fraction of mosquitto\'s in the same run; medians of %s:' % r.counts(WORK), '']
    others = [n for n in r.names if n not in ('linnet', 'mosquitto')]
    rows = []
    for s, (text, limit) in WORK.items():
        share = {n: fraction(r.cpu(n, s), r.cpu('mosquitto', s)) for n in r.names}
        cells = [number(share[n], 2) + r.trouble(n, s) for n in [*others, 'linnet'] if n in share]
        rows.append([text, *cells, number(limit, 2), at_most(share.get('linnet'), limit)])
    head = [NAMES.get(n, n) for n in others] + ['Linnet']
    lines += table(['work', *head, 'Linnet at most', ''], rows)
    lines += ['The same in µs per message, and messages a second:', '']
    rows = [[text, *('%s (%s)' % (number(r.cpu(n, s), 2), number(r.rate(n, s))) for n in r.names)] for s, (text, _) in WORK.items()]
    lines += table(['work', *(NAMES.get(n, n) for n in r.names)], rows)
    lines += ['p99 latency in ms, from the publisher\'s write to the subscriber\'s read. Where messages are kept in flight without pause it '
              'says how long they queue; only the paced row is a latency that a user would see.', '']
    lines += table(['work', *(NAMES.get(n, n) for n in r.names)],
                   [[text, *(number(r.p99(n, s), 2) for n in r.names)] for s, (text, _) in WORK.items()])
    paced = fraction(r.p99('linnet', PACED), r.p99('mosquitto', PACED))
    return lines + ['Paced: Linnet\'s p99 is %s of mosquitto\'s, at most 1.15: %s.' % (number(paced, 2), at_most(paced, 1.15)), '']


def durable_table(r):
    pair = {'linnet': 'Linnet, fsync before each acknowledgement', 'mosquitto-persistent': 'mosquitto, persistence as Debian ships it'}
    if not any(r.runs(n, DURABLE) for n in pair):
        return []
    rows = [[text, number(r.rate(n, DURABLE)) + r.trouble(n, DURABLE), number(r.cpu(n, DURABLE), 2)] for n, text in pair.items()]
    speed, cost = (fraction(f('linnet', DURABLE), f('mosquitto-persistent', DURABLE)) for f in (r.rate, r.cpu))
    return ['500 pairs, QoS 1, subscribers with sessions that outlive the connection; %s:' % r.counts([DURABLE]), '',
            *table(['', 'messages a second', 'CPU µs per message'], rows),
            'Throughput %s of mosquitto\'s, at least 1: %s. CPU time %s of it, at most 3: %s.' % (
                number(speed, 2), verdict(None if speed is None else speed >= 1), number(cost, 2), at_most(cost, 3)), '']


def connection_table(r):
    rows = []
    for s, text in CONNECTIONS.items():
        kilobytes = {n: r.median(n, s, lambda x: x['rss_per_conn_bytes'] / 1024) for n in r.names}
        cpu = {n: r.median(n, s, lambda x: x['broker_cpu_us_per_conn']) for n in r.names}
        if not any(r.runs(n, s) for n in r.names):
            continue
        half = fraction(cpu.get('ejabberd'), 2)
        plain = s == 'conn'
        rows.append([text + ': KB of RSS each', *(number(kilobytes[n], 1) + r.trouble(n, s) for n in r.names), '≤ 10: ' + at_most(kilobytes.get('linnet'), 10) if plain else '–'])
        rows.append([text + ': CPU µs each', *(number(cpu[n], 1) for n in r.names), "≤ half of ejabberd's: " + at_most(cpu.get('linnet'), half) if plain else '–'])
    if not rows:
        return []
    return ['Connecting clients with one subscription each, to servers that have just been started; %s:' % r.counts(CONNECTIONS), '',
            *table(['', *(NAMES.get(n, n) for n in r.names), ''], rows)]


def large_tables(r):
    lines = []
    names = [n for n in ('linnet', 'mosquitto') if any(r.runs(n, s) for s in LARGE)]
    if any(r.runs(n, 'subs-1m') for n in names):
        get = lambda key: [number(r.median(n, 'subs-1m', lambda x: x.get(key)), 2 if key != 'sub_bytes' else 0) for n in names]
        lines += [LARGE['subs-1m'].capitalize() + ', one run:', '',
                  *table(['', *names], [['bytes of RSS per subscription', *get('sub_bytes')], ['CPU µs to subscribe', *get('sub_cpu_us')],
                                        ['CPU µs per delivered message', *get('broker_cpu_us_per_msg')]])]
    if any(r.runs(n, 'retained-1m') for n in names):
        stall = r.stall('linnet', 'retained-1m')
        rows = [[n, number(r.rate(n, 'retained-1m')) + r.trouble(n, 'retained-1m'), number(r.cpu(n, 'retained-1m'), 2),
                 number(r.stall(n, 'retained-1m'))] for n in names]
        lines += [LARGE['retained-1m'].capitalize() + ', one run:', '',
                  *table(['', 'messages a second', 'CPU µs per message', 'longest stall, ms'], rows),
                  'The longest stall, while they were set and sent, at most %d ms: %s.' % (STALL_MS, at_most(stall, STALL_MS)), '']
    return lines


def stall_table(r):
    rows = []
    for s in [*WORK, DURABLE, *CONNECTIONS]:
        own, control = r.stall('linnet', s), r.stall('node-relay', s)
        if own is None:
            continue
        limit = max(STALL_MS, control or 0)
        text = WORK[s][0] if s in WORK else CONNECTIONS.get(s, '500 pairs, QoS 1, durable')
        rows.append([text, number(own), number(control), at_most(own, limit)])
    if not rows:
        return []
    return ['The longest that the event loop was late in any run, in ms, connecting included. At most %d, or what the bare forwarder shows:' % STALL_MS, '',
            *table(['work', 'Linnet', 'bare forwarder', ''], rows)]


def tables(data):
    r = Results(data['results'])
    return [*work_tables(r), *durable_table(r), *connection_table(r), *large_tables(r), *stall_table(r)]
