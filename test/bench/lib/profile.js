'use strict';
/* What the CPU of a row goes to, by perf: for each of its servers the us of each delivery (or
 * connection) that are spent in the kernel, in each library and in the daemon, and the functions
 * that take most. */
const fs = require('fs');
const path = require('path');
const { spawn, spawnSync } = require('child_process');
const { tempDir } = require('../../e2e/lib/proc');
const { until } = require('../../e2e/lib/time');
const { each } = require('./measure');
const { digits } = require('./stats');

const START_MS = 10000;
const FREQUENCY = 4000; /* samples a second */
const FUNCTIONS = 12; /* that are shown */

const hasPerf = () => spawnSync('perf', ['--version']).status === 0;

/* perf's samples of fn(); resolves to the file, and what fn() did. */
async function recorded(world, pids, fn) {
    const file = path.join(tempDir(world), 'perf.data');
    const args = ['record', '-q', '-F', FREQUENCY, '-o', file, '-p', pids.join(',')].map(String);
    const perf = spawn('perf', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const over = new Promise((resolve) => perf.on('exit', resolve));
    await until(() => perf.exitCode !== null || (fs.existsSync(file) && fs.statSync(file).size > 0), START_MS, 'perf to begin');
    const answer = await fn();
    perf.kill('SIGINT');
    await over;
    return { file, answer };
}

/* [[name, share of all samples]]. */
function shares(file, sort) {
    const args = ['report', '-i', file, '--stdio', '-q', '-g', 'none', '--no-children', '--sort', sort, '-F', `overhead,${sort}`];
    const { stdout } = spawnSync('perf', args, { encoding: 'utf8', maxBuffer: 1 << 26 });
    return stdout.split('\n')
        .map((line) => /^\s*([\d.]+)%\s+(\S.*?)\s*$/.exec(line))
        .filter(Boolean)
        .map(([, percent, name]) => [name.replace(/\s+/g, ' '), Number(percent) / 100]);
}

/* Addresses in a library that has no names for them count as one. */
function together(list) {
    const sums = new Map();
    for (const [name, share] of list) {
        const key = name.replace(/0x[0-9a-f]{8,}/, '(no name)');
        sums.set(key, (sums.get(key) || 0) + share);
    }
    return [...sums];
}
const inOrder = (list) => list.sort(([, a], [, b]) => b - a);

async function workOf(swarm, row, n, messages) {
    if (!row.profile.publish) return swarm.connect(n.clients, row.profile.connect);
    return swarm.publish({ ...row.profile.publish, messages });
}

async function profileOf(world, row, n, id) {
    const swarm = await world.fresh(id);
    const per = row.profile.publish ? 'delivery' : 'connection';
    if (row.profile.publish) await swarm.have(n.clients);
    const quiet = each(await workOf(swarm, row, n, n.messages)); /* perf costs something itself */
    if (!row.profile.publish) await swarm.close();
    const { file } = await recorded(world, swarm.server.workers(), () => workOf(swarm, row, n, (n.messages || 0) * 3));
    const line = ([name, share]) => `    ${digits(quiet * share).padStart(8)} us  ${(100 * share).toFixed(1).padStart(5)} %  ${name}`;
    const lines = [
        `${swarm.server.name}${swarm.server.tls ? ', TLS' : ''}: ${digits(quiet)} us for each ${per}, of the worker`,
        ...inOrder(shares(file, 'dso')).filter(([, share]) => share >= 0.003).map(line), '  most of it:',
        ...inOrder(together(shares(file, 'dso,sym'))).slice(0, FUNCTIONS).map(line),
    ];
    await swarm.stop();
    await swarm.server.stop();
    return lines.join('\n');
}

/* Text of a row's servers, in the order that the row names them. */
async function profile(world, name, row, n) {
    if (!row.profile) throw new Error(`${name} has no profile`);
    if (!hasPerf()) throw new Error('perf is not installed (Debian: linux-perf)');
    const out = [];
    for (const id of row.profile.ids) out.push(await profileOf(world, row, n, id));
    return `[${name}] what the CPU goes to, ${n.clients} clients\n${out.join('\n')}\n`;
}

module.exports = { profile };
