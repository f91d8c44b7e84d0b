'use strict';
/* Processes and temporary directories.  Whatever a suite started is ended when
 * it exits, by its id. */
const { execFileSync, spawn, spawnSync } = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');
const { StringDecoder } = require('string_decoder');
const { deadline, within } = require('./time');

const alive = new Set();
const dirs = new Set();

process.on('exit', () => {
    for (const child of alive) child.kill('SIGKILL');
    for (const dir of dirs) fs.rmSync(dir, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

function tempDir(context) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'axr-e2e-'));
    dirs.add(dir);
    context.after(() => {
        fs.rmSync(dir, { recursive: true, force: true });
        dirs.delete(dir);
    });
    return dir;
}

/* Both ends of a kernel pipe.  What Node gives its children is a socket, which is
 * full after some 70 short lines: a program that does not wait would lose lines. */
function pipe() {
    const name = path.join(os.tmpdir(), `axr-e2e-${process.pid}-${crypto.randomBytes(6).toString('hex')}`);
    execFileSync('mkfifo', ['-m', '600', name]);
    const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants;
    const reader = fs.openSync(name, O_RDONLY | O_NONBLOCK);
    const writer = fs.openSync(name, O_WRONLY);
    fs.unlinkSync(name);
    return { reader: new net.Socket({ fd: reader, writable: false }), fd: reader, writer };
}

const CHUNK = Buffer.alloc(65536);

/* A child whose output (both streams) is kept in .log and can be waited for.  .log has all
 * that was said until it is asked for: what a test has seen happen is in it, if it was said
 * before.
 * options.ipc: messages go to and fro, by .child.send() and its event 'message'. */
class Process {
    constructor(command, args, { ipc, ...options } = {}) {
        this.title = `${path.basename(command)} ${args.join(' ')}`.slice(0, 160);
        this.text = '';
        this.decoder = new StringDecoder('utf8');
        this.watchers = new Set();
        const { reader, fd, writer } = pipe();
        this.child = spawn(command, args, {
            stdio: ['ignore', writer, writer, ...(ipc ? ['ipc'] : [])], serialization: 'advanced', ...options,
        });
        fs.closeSync(writer);
        this.pid = this.child.pid;
        alive.add(this.child);
        this.reader = reader; /* who pauses it lets the log fill up */
        this.fd = fd;
        reader.on('data', (bytes) => this.grow(bytes));
        this.drained = new Promise((resolve) => reader.on('close', resolve).on('error', resolve));
        this.exited = new Promise((resolve) => {
            this.child.on('error', (error) => this.end(resolve, { error }));
            this.child.on('exit', (code, signal) => this.end(resolve, { code, signal }));
        });
    }
    get log() {
        this.drain();
        return this.text;
    }
    /* Reads what is in the pipe now; a turn of the event loop would come too late. */
    drain() {
        const { reader, fd } = this;
        if (reader.destroyed || reader.isPaused() || reader.readableLength || this.isDraining) return;
        this.isDraining = true;
        try {
            for (let n; (n = fs.readSync(fd, CHUNK)) > 0; ) this.grow(CHUNK.subarray(0, n));
        } catch (error) {
            if (error.code !== 'EAGAIN') throw error;
        } finally {
            this.isDraining = false;
        }
    }
    grow(bytes) {
        this.text += this.decoder.write(bytes);
        for (const watcher of [...this.watchers]) watcher();
    }
    end(resolve, how) {
        alive.delete(this.child);
        this.how = how;
        resolve(how);
        for (const watcher of [...this.watchers]) watcher();
    }
    /* Resolves to the match of pattern in the log from position from on. */
    line(pattern, ms, from = 0) {
        let watcher;
        const found = new Promise((resolve, reject) => {
            watcher = () => {
                const match = pattern.exec(this.log.slice(from));
                if (match) resolve(match);
            };
            this.watchers.add(watcher);
            watcher();
            this.exited.then(() => this.drained).then(() => {
                watcher();
                const text = JSON.stringify(this.how);
                reject(new Error(`${this.title}: ended (${text}) without ${pattern}\n${this.log}`));
            });
        });
        return deadline(found, ms, `${pattern} from ${this.title}`).finally(() =>
            this.watchers.delete(watcher)
        );
    }
    signal(name) {
        return this.child.kill(name);
    }
    /* Resolves to { code, signal } once it has ended and all it said is in the log. */
    ended(ms) {
        return deadline(this.exited.then((how) => this.drained.then(() => how)), ms, `end of ${this.title}`);
    }
}

/* Runs a command to its end: { code, signal, out, err }. */
function run(command, args, options = {}) {
    const { input, ms = within(10000), ...rest } = options;
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...rest });
    alive.add(child);
    const result = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text) => (result.out += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (result.err += text));
    child.stdin.on('error', () => {});
    child.stdin.end(input || '');
    const over = new Promise((resolve, reject) => {
        child.on('error', reject);
        child.on('close', (code, signal) => resolve({ ...result, code, signal }));
    }).finally(() => alive.delete(child));
    return deadline(over, ms, `end of ${command} ${args.join(' ')}`).catch((error) => {
        child.kill('SIGKILL');
        throw error;
    });
}

/* State letter of a process as /proc shows it, or '' if there is none. */
function stateOf(pid) {
    try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
        return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
    } catch {
        return '';
    }
}

/* A zombie has ended: what is left of it is for its parent to collect. */
function isRunning(pid) {
    const state = stateOf(pid);
    return state !== '' && state !== 'Z' && state !== 'X';
}

function childrenOf(pid) {
    try {
        const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
        return text.trim().split(/\s+/).filter(Boolean).map(Number).filter(isRunning);
    } catch {
        return [];
    }
}

/* Resident memory that is the process's own, in bytes.  Who is not root may not
 * see into a process that cannot be dumped, and takes the sum of pages instead. */
function memoryOf(pid) {
    if (process.getuid() !== 0) {
        const [, resident, common] = fs.readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ').map(Number);
        return (resident - common) * 4096;
    }
    const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)[1]);
    return (field('Private_Dirty') + field('Private_Clean')) * 1024;
}

/* The same with a process's share of what it has in common with others.  Pages of files
 * do not count: its share of a library grows when other programs end. */
function pssOf(pid) {
    if (process.getuid() !== 0) return memoryOf(pid);
    const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)[1]);
    return (field('Pss_Anon') + field('Pss_Shmem')) * 1024;
}

/* CPU seconds that a process has used. */
function cpuOf(pid) {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
}

function has(command) {
    return spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;
}

module.exports = { Process, run, tempDir, isRunning, childrenOf, memoryOf, pssOf, cpuOf, has };
