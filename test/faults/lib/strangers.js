'use strict';
/* Strangers from many addresses: strangers.py, and where they come from. */
const path = require('path');
const { spawnSync } = require('child_process');
const { Process } = require('../../e2e/lib/proc');
const { within } = require('../../e2e/lib/time');

function ip(args, input) {
    const { status, stderr, error } = spawnSync('ip', args, { input, encoding: 'utf8' });
    if (error || status !== 0) throw new Error(`ip ${args.join(' ')}: ${error ? error.message : stderr.trim()}`);
}

/* So many network namespaces, each with an address of its own, and the address where they all find
 * the daemon: { host, names }.  Whoever may not make any gets null. */
function namespaces(t, count) {
    const id = process.pid % 10000;
    const net = `198.18.${id % 250}`;
    const bridge = `axrb${id}`;
    const names = Array.from({ length: count }, (_, i) => `axr-${id}-${i}`);
    const tidy = () => {
        for (const name of names) spawnSync('ip', ['netns', 'del', name]);
        spawnSync('ip', ['link', 'del', bridge]);
    };
    try {
        ip(['link', 'add', bridge, 'type', 'bridge']);
        t.after(tidy);
        ip(['-batch', '-'], `addr add ${net}.1/24 dev ${bridge}\nlink set ${bridge} up\n`);
        ip(['-batch', '-'], names.map((name, i) => [
            `netns add ${name}`,
            `link add axh${id}x${i} type veth peer name eth0 netns ${name}`,
            `link set axh${id}x${i} master ${bridge}`,
            `link set axh${id}x${i} up`, '',
        ].join('\n')).join(''));
        for (const [i, name] of names.entries())
            ip(['-n', name, '-batch', '-'], `addr add ${net}.${i + 2}/24 dev eth0\nlink set eth0 up\n`);
    } catch (error) {
        t.note(`no namespaces (${error.message})`);
        return null;
    }
    return { host: `${net}.1`, names };
}

class Strangers {
    /* options: as strangers.py has them. */
    static async start(context, options) {
        const strangers = new Strangers();
        strangers.process = new Process('python3', [path.join(__dirname, 'strangers.py'), JSON.stringify(options)]);
        context.show(strangers.process);
        context.after(async () => {
            strangers.process.signal('SIGKILL');
            await strangers.process.ended(within(2000));
        });
        await strangers.process.line(/^flooding$/m, within(60000));
        return strangers;
    }
    async ask(signal, what) {
        const from = this.process.log.length;
        this.process.signal(signal);
        const [, json] = await this.process.line(new RegExp(`^${what} (.*)$`, 'm'), within(10000), from);
        return JSON.parse(json);
    }
    counts() {
        return this.ask('SIGUSR2', 'counts');
    }
    stop() {
        return this.ask('SIGTERM', 'result');
    }
}

module.exports = { Strangers, namespaces };
