#!/usr/bin/env python3
"""Runs Linnet and its peers (those installed) side by side and writes bench/RESULTS.md.

  run.py [--quick] [--only mqtt,xmpp,start] [--scenarios a,b] [--runs 3] [--out bench/RESULTS.md] [--keep DIR]

Servers are pinned to core 0 and generators to core 1; runs of the servers take turns, figures are medians. Loopback only.
--quick takes one short run of each, to see that everything works: its figures mean little.
--scenarios takes some of MQTT's only (mqtt-compare.py list).
--keep DIR stores the raw results as JSON. What a later run leaves out is taken from there: a long table may be measured bit by
bit. A part of which nothing is there keeps its section of the file that is written.
aedes takes part when AEDES_DIR names a folder outside of the checkout where `npm install aedes` was run.
"""
import argparse, importlib.util, json, os, re, shutil, socket, statistics, subprocess, sys, tempfile, time
import mqtt_rows

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
spec = importlib.util.spec_from_file_location('mqtt_compare', os.path.join(HERE, 'mqtt-compare.py'))
mqtt = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mqtt)

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
    """those that can be started; the others are named"""
    known = mqtt.load_brokers(os.path.join(HERE, 'brokers.json'))
    found = []
    for n in names:
        unset = [v for v in re.findall(r'\$\{(\w+)\}', json.dumps(known[n])) if v not in os.environ]
        program = os.path.expandvars(known[n]['command'][0].replace('{here}', HERE))
        if unset:
            print('%s skipped: %s not set' % (n, ', '.join(unset)))
        elif not os.path.exists(program):
            print('%s skipped: %s is not there' % (n, program))
        else:
            found.append(n)
    return found


def run_mqtt(a, work):
    os.environ.setdefault('NODE26', os.path.join(ROOT, 'node_modules', '.bin', 'node'))
    wanted = a.scenarios.split(',') if a.scenarios else mqtt_rows.ALL
    unknown = [s for s in wanted if s not in mqtt_rows.ALL]
    if unknown:
        raise SystemExit('No such scenario here: ' + ', '.join(unknown))
    merged = kept(a, 'mqtt') or {'brokers': {}, 'results': {}}
    for names, scenarios, runs in mqtt_rows.calls(wanted, a.runs):
        out = os.path.join(work, 'mqtt.json')
        base = [sys.executable, os.path.join(HERE, 'mqtt-compare.py'), 'run', '--interleave', '--brokers', ','.join(installed(names)),
                '--scenarios', ','.join(scenarios), '--out', out]
        base += ['--quick'] if a.quick else ['--runs', str(runs), '--time', '1.5', '--warmup', '1']
        subprocess.run(base, check=True)
        with open(out) as f:
            found = json.load(f)
        os.unlink(out)
        merged['brokers'].update(found['brokers'])
        for n, results in found['results'].items():
            merged['results'].setdefault(n, {}).update(results)
        keep(a, 'mqtt', merged)
    return merged


def kept(a, name):
    path = a.keep and os.path.join(a.keep, name + '.json')
    if not path or not os.path.exists(path):
        return None
    with open(path) as f:
        return json.load(f)


def keep(a, name, data):
    if not a.keep:
        return
    os.makedirs(a.keep, exist_ok=True)
    path = os.path.join(a.keep, name + '.json')
    with open(path + '.tmp', 'w') as f:
        json.dump(data, f, indent=1)
    os.rename(path + '.tmp', path)


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
    for name in installed(['mosquitto', 'ejabberd']):
        known[name]['ready'] = 'tcp'
        b = mqtt.Broker(name, known[name], 0)
        began = time.monotonic()
        b.start()
        took = time.monotonic() - began
        time.sleep(5)
        found[name] = [(took, mqtt.usage(b.pid)[1])]
        b.stop()
    return found


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def runs_of(counts):
    most = max(counts)
    return 'one run each' if most == 1 else 'medians of %d runs' % most


def ratio(own, other):
    return '–' if not own or not other else '%.2f' % (own / other)


def xmpp_tables(results):
    names = [n for n in ('linnet', 'ejabberd') if any(r['server'] == n for r in results)]

    def value(n, s, key):
        return median(r.get(key) for r in results if r['server'] == n and r['scenario_name'] == s and r.get('ok'))
    count = runs_of(1 + r['run'] for r in results if r['scenario_name'] == 'chat-max')
    lines = [count[0].upper() + count[1:] + '.', '', '| scenario | ' + ' | '.join('%s: CPU µs each (a second, p99 ms)' % n for n in names) + ' | Linnet / ejabberd | target |',
             '|---' * (len(names) + 3) + '|']
    for s, text in XMPP.items():
        cells = ['%s (%s, %s)' % (mqtt_rows.number(value(n, s, 'cpu_us_per'), 1), mqtt_rows.number(value(n, s, 'per_s')), mqtt_rows.number(value(n, s, 'p99_ms'), 1)) for n in names]
        own, other = value('linnet', s, 'cpu_us_per'), value('ejabberd', s, 'cpu_us_per')
        target = '–' if not own or not other else '< 1: ' + ('met' if own < other else '**missed**')
        lines.append('| %s | %s | %s | %s |' % (text, ' | '.join(cells), ratio(own, other), target))
    lines += ['', '| KB of RSS per idle session | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 1) + '|']
    for s, text in (('idle', 'plain'), ('idle-tls', 'TLS')):
        lines.append('| %s | %s |' % (text, ' | '.join(mqtt_rows.number(value(n, s, 'kb_per_conn'), 1) for n in names)))
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


def sections(path):
    """the lines of each section of a file written earlier, by title"""
    if not os.path.exists(path):
        return {}
    with open(path) as f:
        parts = re.split(r'^## (.*)\n', f.read(), flags=re.M)
    return {title: text.strip().splitlines() for title, text in zip(parts[1::2], parts[2::2])}


def report(a, parts):
    versions = ['Linnet %s on Node %s' % (output('git describe --always --dirty --exclude "*"') or json.loads(written('../package.json'))['version'],
                                          output('node_modules/.bin/node --version'))]
    versions += [v for v in (output('mosquitto -h | head -1'), output("dpkg-query -W -f='ejabberd ${Version}' ejabberd"),
                            output('nats-server --version')) if v]
    aedes = parts.get('mqtt', {}).get('brokers', {}).get('aedes-node26')
    versions += ['aedes ' + aedes] if aedes else []
    lines = ['# Measurements', '', 'Written by `npm run bench`%s on %s. How they are taken, and what they mean: [docs/performance.md](../docs/performance.md).'
             % (' -- --quick' if a.quick else '', time.strftime('%F')), '',
             '- Machine: %s' % machine(), '- Versions: %s' % '; '.join(versions),
             '- Servers on core 0, generators on core 1, loopback, servers in turns. 5-minute load average at the end: %.1f.' % os.getloadavg()[1], '']
    before = sections(a.out)
    for name, title, table in (('mqtt', 'MQTT', mqtt_rows.tables), ('xmpp', 'XMPP', xmpp_tables), ('start', 'Start and idle', start_tables)):
        if name in parts:
            lines += ['## ' + title, '', *table(parts[name]), '']
        elif title in before:
            lines += ['## ' + title, '', *before[title], '']
    lines += ['## Configurations', '', 'mosquitto:', '', *indented(written('brokers/mosquitto.conf.in')),
              'mosquitto with lasting sessions:', '', *indented(written('brokers/mosquitto-persistent.conf.in')),
              'NATS:', '', *indented(written('brokers/nats.conf.in')), 'ejabberd as a broker (`+sbwt none`):', '',
              *indented(written('brokers/ejabberd.yml.in')), 'Linnet as a broker:', '', *indented(written('brokers/linnet.yml.in')),
              'XMPP: ejabberd has one scheduler (`+S 1:1`, it has one core), Mnesia, and the modules of the profile `core` of '
              '[xmpp-refserver.sh](xmpp-refserver.sh); Linnet has SQLite and the modules in [xmpp-linnet.sh](xmpp-linnet.sh). Both keep passwords as SCRAM-SHA-1 keys. '
              'The start is that of Linnet with [config/default.yml](../config/default.yml), and of the others as brokers.']
    return '\n'.join(lines) + '\n'


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--quick', action='store_true')
    ap.add_argument('--only', default='start,mqtt,xmpp')
    ap.add_argument('--scenarios')
    ap.add_argument('--runs', type=int, default=3)
    ap.add_argument('--out', default=os.path.join(HERE, 'RESULTS.md'))
    ap.add_argument('--keep')
    a = ap.parse_args()
    work = tempfile.mkdtemp(prefix='linnet-bench-')
    steps = {'start': run_start, 'mqtt': run_mqtt, 'xmpp': run_xmpp}
    parts = {}
    try:
        for name, step in steps.items():
            if name in a.only.split(','):
                parts[name] = step(a, work)
                keep(a, name, parts[name])
            elif (found := kept(a, name)) is not None:
                parts[name] = found
    finally:
        shutil.rmtree(work, ignore_errors=True)
    text = report(a, parts)
    with open(a.out, 'w') as f:
        f.write(text)
    print('Written: ' + a.out)


if __name__ == '__main__':
    main()
