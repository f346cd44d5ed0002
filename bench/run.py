#!/usr/bin/env python3
"""Runs Linnet, mosquitto and ejabberd (those installed) side by side and writes bench/RESULTS.md.

  run.py [--quick] [--only mqtt,xmpp,start] [--runs 3] [--out bench/RESULTS.md] [--keep DIR]

Servers are pinned to core 0 and generators to core 1; runs of the servers take turns, figures are medians. Loopback only.
--quick takes one short run of each, to see that everything works: its figures mean little.
--keep DIR stores the raw results as JSON; parts that --only leaves out are taken from there.
"""
import argparse, importlib.util, json, os, re, shutil, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
spec = importlib.util.spec_from_file_location('mqtt_compare', os.path.join(HERE, 'mqtt-compare.py'))
mqtt = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mqtt)

BROKERS = ['linnet', 'mosquitto', 'ejabberd']
MQTT = {  # scenario: (what it is, whether input is pipelined)
    'fanin-q0': ('fan-in 200→1, QoS 0', True),
    'fanin-q1': ('fan-in 200→1, QoS 1', True),
    'fanout-q0': ('fan-out 1→500, QoS 0', True),
    'fanout-q1': ('fan-out 1→500, QoS 1', True),
    'p2p-q0': ('500 pairs, QoS 0, 32 in flight each', True),
    'p2p-q1': ('500 pairs, QoS 1, 16 in flight each', True),
    'p2p-q0-w1': ('500 pairs, QoS 0, one in flight each', False),
    'lat-p2p-q0': ('100 pairs, QoS 0, 4 000 a second', False),
}
XMPP = {
    'chat-max': 'chat, 100 pairs, 4 in flight',
    'chat-tls': 'the same over TLS',
    'chat-paced': 'chat, 500 pairs, 2 000 a second',
    'presence': 'presence, groups of 20',
    'iqping': 'ping, 100 clients, 2 in flight',
    'login': 'login, SCRAM-SHA-1',
    'login-tls': 'login, SCRAM-SHA-1 over TLS',
    'login-plain-tls': 'login, PLAIN over TLS',
}


def installed(names):
    known = mqtt.load_brokers(os.path.join(HERE, 'brokers.json'))
    return [n for n in names if os.path.exists(known[n]['command'][0].replace('{here}', HERE))]


def run_mqtt(a, work):
    out = os.path.join(work, 'mqtt.json')
    base = [sys.executable, os.path.join(HERE, 'mqtt-compare.py'), 'run', '--brokers', ','.join(installed(BROKERS)), '--interleave',
            '--scenarios', ','.join([*MQTT, 'conn']), '--out', out]
    base += ['--quick'] if a.quick else ['--runs', str(a.runs), '--time', '2', '--warmup', '1']
    subprocess.run(base, check=True)
    with open(out) as f:
        return json.load(f)


def run_xmpp(a, work):
    out = os.path.join(work, 'xmpp.json')
    servers = ','.join(n for n in installed(['linnet', 'ejabberd']))
    base = [sys.executable, os.path.join(HERE, 'xmpp-compare.py'), '--servers', servers, '--scenarios', ','.join([*XMPP, 'idle', 'idle-tls']),
            '--runs', '1' if a.quick else str(a.runs), '--out', out, '--work', os.path.join(work, 'xmpp')]
    subprocess.run(base + (['--quick'] if a.quick else []), check=True)
    with open(out) as f:
        return json.load(f)


def answers(port):
    try:
        socket.create_connection(('127.0.0.1', port), timeout=1).close()
        return True
    except OSError:
        return False


def start_linnet(work):
    """The shipped configuration on other ports; (seconds from exec to all ports open, RSS in bytes 5 s later)"""
    with open(os.path.join(ROOT, 'config', 'default.yml')) as f:
        text = f.read()
    text = re.sub(r'- port: (\d+)', lambda m: '- port: %d' % (int(m.group(1)) + 20000), text).replace('ip: "::"', 'ip: 127.0.0.1')
    ports = [int(p) for p in re.findall(r'- port: (\d+)', text)]
    config = os.path.join(work, 'start.yml')
    with open(config, 'w') as f:
        f.write(text)
    cmd = [os.path.join(ROOT, 'bin', 'linnet'), 'serve', '--config', config, '--data', os.path.join(work, 'start-data')]
    return timed_start(['taskset', '-c', '0'] + cmd, ports)


def timed_start(cmd, ports):
    began = time.monotonic()
    p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not all(answers(port) for port in ports):
            if p.poll() is not None or time.monotonic() - began > 30:
                raise RuntimeError('%s did not open its ports' % cmd[3])
            time.sleep(0.005)
        took = time.monotonic() - began
        time.sleep(5)
        return took, mqtt.usage(p.pid)[1]
    finally:
        p.terminate()
        try:
            p.wait(15)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def run_start(a, work):
    # the first start of a checkout compiles what later starts read from Node's compile cache
    runs = [start_linnet(work) for _ in range(1 + (1 if a.quick else a.runs))][1:]
    found = {'linnet': runs}
    known = mqtt.load_brokers(os.path.join(HERE, 'brokers.json'))
    for name in installed(BROKERS[1:]):
        known[name]['ready'] = 'tcp'
        b = mqtt.Broker(name, known[name], 0)
        began = time.monotonic()
        b.start()
        took = time.monotonic() - began
        time.sleep(5)
        found[name] = [(took, mqtt.usage(b.pid)[1])]
        b.stop()
    return found


def number(value, digits=0):
    return '–' if value is None else '{:,.{}f}'.format(value, digits).replace(',', ' ')


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def runs_of(counts):
    most = max(counts)
    return 'one run each' if most == 1 else 'medians of %d runs' % most


def ratio(own, other):
    return '–' if not own or not other else '%.2f' % (own / other)


def mqtt_tables(data):
    names = [n for n in BROKERS if n in data['results']]
    value = lambda n, s, get: median(get(x) for x in data['results'][n].get(s, []) if x.get('ok'))
    cpu = lambda n, s: value(n, s, lambda x: x['broker_cpu_us_per_msg'])
    lines = ['CPU µs per delivered message (messages a second), %s:' % runs_of(len(x) for n in names for x in data['results'][n].values()), '', '| scenario | ' + ' | '.join(names) + ' | Linnet / mosquitto | target |',
             '|---' * (len(names) + 3) + '|']
    for s, (text, pipelined) in MQTT.items():
        cells = ['%s (%s)%s' % (number(cpu(n, s), 2), number(value(n, s, lambda x: x['msgs_per_s'])), lost(data['results'][n].get(s, []))) for n in names]
        own, other = cpu('linnet', s), cpu('mosquitto', s) if 'mosquitto' in names else None
        target = '–' if not pipelined or not own or not other else '≤ 0.5: ' + ('met' if own <= other / 2 else '**missed**')
        lines.append('| %s | %s | %s | %s |' % (text, ' | '.join(cells), ratio(own, other), target))
    lines += ['', 'p99 latency in ms, from the publisher\'s write to the subscriber\'s read. Where messages are kept in flight without pause it '
              'says how long they queue; only the paced row is a latency that a user would see.', '',
              '| scenario | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 1) + '|']
    for s, (text, _) in MQTT.items():
        lines.append('| %s | %s |' % (text, ' | '.join(number(ms(value(n, s, lambda x: x['lat_us']['p99'])), 2) for n in names)))
    lines += ['', 'Connecting 10 000 clients, each with one subscription:', '', '| | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 1) + '|']
    for text, get in (('KB of RSS per idle connection', lambda x: x['rss_per_conn_bytes'] / 1024), ('CPU µs per connection', lambda x: x['broker_cpu_us_per_conn']),
                      ('connections a second', lambda x: x['connects_per_s'])):
        lines.append('| %s | %s |' % (text, ' | '.join(number(value(n, 'conn', get), 1) for n in names)))
    return lines


def ms(us):
    return None if us is None else us / 1000


def lost(runs):
    ok = [x for x in runs if x.get('ok')]
    if len(ok) < len(runs):
        return ' %d of %d runs failed' % (len(runs) - len(ok), len(runs))
    worst = max((x['lost'] + x['disconnects'] for x in ok), default=0)
    return ' lost %d' % worst if worst else ''


def xmpp_tables(results):
    names = [n for n in ('linnet', 'ejabberd') if any(r['server'] == n for r in results)]

    def value(n, s, key):
        return median(r.get(key) for r in results if r['server'] == n and r['scenario_name'] == s and r.get('ok'))
    count = runs_of(1 + r['run'] for r in results if r['scenario_name'] == 'chat-max')
    lines = [count[0].upper() + count[1:] + '.', '', '| scenario | ' + ' | '.join('%s: CPU µs each (a second, p99 ms)' % n for n in names) + ' | Linnet / ejabberd | target |',
             '|---' * (len(names) + 3) + '|']
    for s, text in XMPP.items():
        cells = ['%s (%s, %s)' % (number(value(n, s, 'cpu_us_per'), 1), number(value(n, s, 'per_s')), number(value(n, s, 'p99_ms'), 1)) for n in names]
        own, other = value('linnet', s, 'cpu_us_per'), value('ejabberd', s, 'cpu_us_per')
        target = '–' if not own or not other else '< 1: ' + ('met' if own < other else '**missed**')
        lines.append('| %s | %s | %s | %s |' % (text, ' | '.join(cells), ratio(own, other), target))
    lines += ['', '| KB of RSS per idle session | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 1) + '|']
    for s, text in (('idle', 'plain'), ('idle-tls', 'TLS')):
        lines.append('| %s | %s |' % (text, ' | '.join(number(value(n, s, 'kb_per_conn'), 1) for n in names)))
    return lines


def start_tables(data):
    lines = ['| | seconds from exec to open ports | RSS at idle, MB |', '|---|---|---|']
    for name, runs in data.items():
        lines.append('| %s | %.2f | %.0f |' % (name, median(r[0] for r in runs), median(r[1] for r in runs) / 1e6))
    own = data['linnet']
    good = median(r[0] for r in own) < 1 and median(r[1] for r in own) < 120e6
    return lines + ['', 'Target, under one second and under 120 MB: %s.' % ('met' if good else '**missed**')]


def output(cmd):
    return subprocess.run(cmd, shell=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT).stdout.strip()


def machine():
    with open('/proc/cpuinfo') as f:
        cpu = re.search(r'model name\s*: (.*)', f.read())
    with open('/proc/meminfo') as f:
        memory = int(f.readline().split()[1]) / 2**20
    return '%s, %d cores, %.0f GiB, Linux %s' % (cpu.group(1) if cpu else 'unknown processor', os.cpu_count(), memory, os.uname().release)


def indented(text):
    return ['```', *text.strip().splitlines(), '```', '']


def written(name):
    with open(os.path.join(HERE, name)) as f:
        return f.read()


def report(a, parts):
    versions = ['Linnet %s on Node %s' % (output('git describe --always --dirty --exclude "*"') or json.loads(written('../package.json'))['version'],
                                          output('node_modules/.bin/node --version'))]
    versions += [v for v in (output('mosquitto -h | head -1'), output("dpkg-query -W -f='ejabberd ${Version}' ejabberd")) if v]
    lines = ['# Measurements', '', 'Written by `npm run bench`%s on %s. How they are taken, and what they mean: [docs/performance.md](../docs/performance.md).'
             % (' -- --quick' if a.quick else '', time.strftime('%F')), '',
             '- Machine: %s' % machine(), '- Versions: %s' % '; '.join(versions),
             '- Servers on core 0, generators on core 1, loopback, servers in turns. 5-minute load average at the end: %.1f.' % os.getloadavg()[1], '']
    for name, title, table in (('mqtt', 'MQTT', mqtt_tables), ('xmpp', 'XMPP', xmpp_tables), ('start', 'Start and idle', start_tables)):
        if name in parts:
            lines += ['## ' + title, '', *table(parts[name]), '']
    lines += ['## Configurations', '', 'mosquitto:', '', *indented(written('brokers/mosquitto.conf.in')), 'ejabberd as a broker (`+sbwt none`):', '',
              *indented(written('brokers/ejabberd.yml.in')), 'Linnet as a broker:', '', *indented(written('brokers/linnet.yml.in')),
              'XMPP: ejabberd has one scheduler (`+S 1:1`, it has one core), Mnesia, and the modules of the profile `core` of '
              '[xmpp-refserver.sh](xmpp-refserver.sh); Linnet has SQLite and the modules in [xmpp-linnet.sh](xmpp-linnet.sh). Both keep passwords as SCRAM-SHA-1 keys. '
              'The start is that of Linnet with [config/default.yml](../config/default.yml), and of the others as brokers.']
    return '\n'.join(lines) + '\n'


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--quick', action='store_true')
    ap.add_argument('--only', default='start,mqtt,xmpp')
    ap.add_argument('--runs', type=int, default=3)
    ap.add_argument('--out', default=os.path.join(HERE, 'RESULTS.md'))
    ap.add_argument('--keep')
    a = ap.parse_args()
    work = tempfile.mkdtemp(prefix='linnet-bench-')
    steps = {'start': run_start, 'mqtt': run_mqtt, 'xmpp': run_xmpp}
    parts = {}
    try:
        for name, step in steps.items():
            kept = a.keep and os.path.join(a.keep, name + '.json')
            if name in a.only.split(','):
                parts[name] = step(a, work)
                if kept:
                    os.makedirs(a.keep, exist_ok=True)
                    with open(kept, 'w') as f:
                        json.dump(parts[name], f, indent=1)
            elif kept and os.path.exists(kept):
                with open(kept) as f:
                    parts[name] = json.load(f)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    with open(a.out, 'w') as f:
        f.write(report(a, parts))
    print('Written: ' + a.out)


if __name__ == '__main__':
    main()
