'use strict';
/* The rules for Prometheus and the dashboard for Grafana: all that they ask for is there in a run,
 * each alert fires and keeps quiet, and the dashboard is what its script makes. */
const assert = require('assert');
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { test, shared, mode } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, ROOT } = require('./lib/daemon');
const { adminOf, scrape } = require('./lib/metrics');
const { Process, tempDir } = require('./lib/proc');
const { within, until } = require('./lib/time');

const RULES = path.join(ROOT, 'etc/prometheus/axr-notifyd.rules.yml');
const TESTS = path.join(ROOT, 'test/prometheus/axr-notifyd.test.yml');
const DASHBOARD = path.join(ROOT, 'etc/grafana/axr-notifyd.json');
const SCRIPT = path.join(ROOT, 'scripts/dashboard');
const read = (file) => fs.readFileSync(file, 'utf8');
const redisServer = shared((s) => Redis.start(s));
const daemonOf = async (t) => Daemon.start(t, { redis: await redisServer(), tls: true, config: { workers: 1 } });

/* [{ alert or record, expr, text }]: each rule is a few lines. */
const rules = () => read(RULES).split(/^ +- (?=alert:|record:)/m).slice(1).map((text) => ({
    alert: (/^alert: (\w+)$/m.exec(text) || [])[1],
    record: (/^record: (\S+)$/m.exec(text) || [])[1],
    expr: /^ +expr: (.*)$/m.exec(text)[1],
    text,
}));
const alerts = () => rules().filter(({ alert }) => alert);
const targets = () => JSON.parse(read(DASHBOARD)).panels.flatMap(({ title, targets: all = [] }) => all.map((one) => ({ title, ...one })));
const variables = () => JSON.parse(read(DASHBOARD)).templating.list.filter(({ type }) => type === 'query').map(({ definition }) => definition);
const plain = (expr) => expr.replace(/\$__rate_interval/g, '5m').replace(/\$(job|instance)/g, '.*');

/* The metrics in an expression: [name, [[label, operator, value]...]]. */
const selectors = (expr) => [...expr.matchAll(/([a-z_:]*(?:axr_notifyd|process)_[\w:]+)(?:\{([^}]*)\})?/g)].map(([, name, inside = '']) =>
    [name, [...inside.matchAll(/(\w+)(=~|=)"([^"]*)"/g)].map(([, ...one]) => one)]);
function assertThere(metrics, expr) {
    for (const [name, wanted] of selectors(expr)) {
        if (name.includes(':')) {
            assert.ok(rules().some(({ record }) => record === name), `${name} is not recorded`);
            continue;
        }
        const values = metrics.values.get(name);
        assert.ok(values, `${name} is not in /metrics`);
        for (const [label, operator, value] of wanted) {
            if (['job', 'instance'].includes(label)) continue;
            const pattern = new RegExp(`(^|,)${label}="(?:${operator === '=' ? value.replace(/\W/g, '\\$&') : value})"`);
            assert.ok([...values.keys()].some((labels) => pattern.test(labels)), `${name}{${label}${operator}"${value}"}`);
        }
    }
}
const promtool = (...args) => spawnSync('promtool', args, { encoding: 'utf8' });
function checked(expressions, dir) {
    const file = path.join(dir, 'rules.yml');
    const list = expressions.map((expr, i) => ({ record: `expression:${i}`, expr }));
    fs.writeFileSync(file, JSON.stringify({ groups: [{ name: 'all', rules: list }] })); /* which is YAML */
    return promtool('check', 'rules', file);
}

test('each rule asks for what there is from the start, and says what to do', async (t) => {
    const metrics = await scrape(await daemonOf(t));
    for (const { expr } of rules()) assertThere(metrics, expr);
    for (const { alert, text } of alerts()) {
        assert.match(text, /^ +severity: (critical|warning|info)$/m, alert);
        for (const part of ['summary', 'description', 'action']) assert.match(text, new RegExp(`^ +${part}: ".{20,}"$`, 'm'), `${alert}: ${part}`);
        assert.match(/^ +summary: (.*)$/m.exec(text)[1], /\$labels\.instance/, alert);
        const [, page, section, where] = /^ +runbook: "(\S+)\((\d)\), (.*)"$/m.exec(text);
        const manual = read(path.join(ROOT, 'man', `${page}.${section}`));
        assert.ok([`.Sh ${where}`, `.Ss ${where}`, `.It Cm ${where}`].some((line) => manual.split('\n').some((one) => one.startsWith(line))), `${alert}: ${where}`);
    }
});
test('the alerts are those of the manual', () => {
    const manual = read(path.join(ROOT, 'man/axr-notifyd.8'));
    const [, list] = /^Worth an alert[^]*?^\.Bd.*$([^]*?)^\.Ed$/m.exec(manual);
    const inManual = list.trim().split(/\n(?! )/).map((one) => one.replace(/\s+/g, ' '));
    const inRules = alerts().map(({ expr }) => expr.replace('instance:axr_notifyd_delivery_latency_seconds:p99_5m',
        'histogram_quantile(0.99, rate(axr_notifyd_delivery_latency_seconds_bucket[5m]))').replace(/sum by \(job, instance\) \((.*)\)(?= >)/, '$1'));
    assert.deepStrictEqual([...inManual].sort(), [...inRules].sort());
});
test('promtool: no remark, each alert fires and keeps quiet', () => {
    for (const args of [['check', 'rules', RULES], ['test', 'rules', TESTS]]) {
        const { status, stdout, stderr } = promtool(...args);
        assert.strictEqual(status, 0, stdout + stderr);
    }
    const [, quiet, loud] = read(TESTS).split(/^ {2}- name: /m);
    const sources = (expr) => selectors(expr).flatMap(([name]) => {
        const rule = rules().find(({ record }) => record === name);
        return rule ? sources(rule.expr) : [name];
    });
    for (const { alert, expr } of alerts()) {
        assert.ok(loud.includes(`'{alertname="${alert}"}'`), `${alert} fires`);
        for (const name of sources(expr)) assert.ok(quiet.includes(`series: ${name}{`), `${alert} keeps quiet: ${name}`);
    }
    for (const { record } of rules().filter((rule) => rule.record)) assert.ok(quiet.includes(record), record);
}, { needs: 'promtool' });
test('the dashboard is what the script makes of this run, and all of it can be asked for', async (t) => {
    const metrics = await scrape(await daemonOf(t));
    const dir = tempDir(t);
    const file = path.join(dir, 'metrics');
    const check = (text) => {
        fs.writeFileSync(file, text);
        const { status, stderr } = spawnSync(SCRIPT, ['--check', file], { encoding: 'utf8' });
        return [status, stderr];
    };
    assert.deepStrictEqual(check(metrics.text), [0, '']);
    const more = check(`${metrics.text}# HELP axr_notifyd_news_total New.\n# TYPE axr_notifyd_news_total counter\naxr_notifyd_news_total 0\n`);
    assert.match(more[1], /axr_notifyd_news_total is in no panel/);
    assert.match(check(metrics.text.replace(/^.*axr_notifyd_clients_joining.*\n/gm, ''))[1], /there is no metric clients_joining/);
    assert.match(check(metrics.text.replace('Clients that are in', 'Those that are in'))[1], /is not what scripts\/dashboard makes/);
    for (const { title, expr, legendFormat } of targets()) {
        assertThere(metrics, expr);
        const [name] = selectors(expr)[0];
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
            const labels = [...metrics.values.get(name).keys()];
            assert.ok(label === 'instance' || labels.some((one) => one.includes(`${label}="`)), `${title}: ${label}`);
        }
    }
    for (const query of variables()) assertThere(metrics, query);
    const { panels, uid, schemaVersion } = JSON.parse(read(DASHBOARD));
    assert.deepStrictEqual([uid, schemaVersion >= 36, new Set(panels.map(({ id }) => id)).size], ['axr-notifyd', true, panels.length]);
}, { tools: 'python3' });
test('promtool understands every expression of the dashboard', (t) => {
    const { status, stdout, stderr } = checked(targets().map(({ expr }) => plain(expr)), tempDir(t));
    assert.strictEqual(status, 0, stdout + stderr);
}, { needs: 'promtool' });
if (mode === 'long')
    test('a real Prometheus: scraped, no rule fails, an alert fires and says what', async (t) => {
        const daemon = await daemonOf(t);
        const redis = await redisServer();
        const dir = tempDir(t);
        const { host, port } = await adminOf(daemon);
        fs.writeFileSync(path.join(dir, 'prometheus.yml'), JSON.stringify({
            global: { scrape_interval: '1s', evaluation_interval: '1s' },
            rule_files: [RULES],
            scrape_configs: [{ job_name: 'axr-notifyd', static_configs: [{ targets: [`${host}:${port}`] }] }],
        }));
        const ours = await freePort();
        const prometheus = new Process('prometheus', ['--config.file=prometheus.yml', '--storage.tsdb.path=data', `--web.listen-address=127.0.0.1:${ours}`], { cwd: dir });
        t.show(prometheus);
        t.after(async () => {
            prometheus.signal('SIGTERM');
            await prometheus.ended(within(5000));
        });
        const ask = async (what) => {
            const answer = await fetch(`http://127.0.0.1:${ours}/api/v1/${what}`).catch(() => null);
            return answer && answer.ok ? (await answer.json()).data : null;
        };
        const query = (expr) => ask(`query?query=${encodeURIComponent(plain(expr))}`);
        const has = async (expr) => ((await query(expr)) || { result: [] }).result.length > 0;
        await until(() => has('axr_notifyd_messages_dropped_total'), within(10000), 'the first scrape');
        await redis.publish('socket.io#/axr#', 'rubbish');
        const firing = () => ask('alerts').then((data) => data && data.alerts.find(({ labels, state }) => labels.alertname === 'AxrNotifydMessagesDropped' && state === 'firing'));
        const { annotations, labels } = await until(firing, within(10000), 'an alert');
        assert.match(annotations.summary, /^axr-notifyd on 127\.0\.0\.1:\d+ dropped \d+ messages \(malformed\) in 10 minutes$/);
        assert.deepStrictEqual([labels.severity, labels.cause], ['warning', 'malformed']);
        const { groups } = await ask('rules');
        for (const rule of groups.flatMap((group) => group.rules)) assert.deepStrictEqual([rule.name, rule.health, rule.lastError], [rule.name, 'ok', undefined]);
        for (const { title, expr } of targets()) assert.ok(await query(expr), title);
    }, { tools: 'prometheus' });
