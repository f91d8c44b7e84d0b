'use strict';
/* The machine, and who runs where on it: the servers have core 0, clients and redis core 1. */
const fs = require('fs');
const os = require('os');
const { spawnSync } = require('child_process');

const pinned = os.cpus().length > 1 && spawnSync('taskset', ['-c', '1', 'true']).status === 0;
const onCore = (core) => (pinned ? ['taskset', '-c', String(core)] : []);
const SERVER = onCore(0);
const CLIENT = onCore(1);

/* Before all other sessions, where the kernel shares the CPU out by session; back at the end.
 * Returns whether that could be. */
function goFirst() {
    const file = '/proc/self/autogroup';
    try {
        const nice = /nice (-?\d+)/.exec(fs.readFileSync(file, 'utf8'))[1];
        fs.writeFileSync(file, '-15');
        process.on('exit', () => fs.writeFileSync(file, nice));
        return true;
    } catch {
        return false;
    }
}

/* This process goes to the clients. */
function stepAside() {
    if (pinned) spawnSync('taskset', ['-a', '-p', '-c', '1', String(process.pid)]);
}

function distribution() {
    try {
        return /^PRETTY_NAME="?([^"\n]*)/m.exec(fs.readFileSync('/etc/os-release', 'utf8'))[1];
    } catch {
        return os.type();
    }
}

/* What the figures were measured on, a line each. */
function describe(tools) {
    const cpus = os.cpus();
    const where = pinned ? 'servers on core 0, clients and redis on core 1' : 'NOT pinned: one core, or no taskset';
    const load = os.loadavg()[0].toFixed(1);
    return [
        `${cpus[0].model.trim()}, ${cpus.length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GB; ${where}`,
        `${distribution()}, kernel ${os.release()}; ${tools.join(', ')}`,
        `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC; load average at the start ${load}`,
    ];
}

module.exports = { SERVER, CLIENT, goFirst, stepAside, describe };
