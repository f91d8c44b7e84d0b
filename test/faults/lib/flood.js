'use strict';
/* Strangers by the thousand, in a process of their own: polling handshakes over a few
 * connections, sockets that ask for /status and sit there, sockets that never speak.  One
 * that is closed comes again.
 *
 * argv[2]: JSON of { where, connections, sockets }.  Says "flooding"; TERM ends it: prints
 * "result" and how many of each kind were served, or closed. */
const net = require('net');
const path = require('path');

const HANDSHAKE = 'GET /notifications/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n';
const STATUS = 'GET /status HTTP/1.1\r\nHost: x\r\n\r\n';
const AT_ONCE = 10; /* requests that follow each other without an answer */
const AGAIN_MS = 200;

function run({ where, connections, sockets }) {
    const counts = { handshakes: 0, refused: 0, status: 0, closed: 0 };
    let over = false;
    const dial = (text, onData) => {
        const socket = net.connect(where, () => text && socket.write(text));
        socket.on('error', () => {}).on('data', (data) => onData(socket, data.toString('latin1')));
        socket.on('close', () => {
            counts.closed++;
            if (!over) setTimeout(dial, AGAIN_MS, text, onData);
        });
    };
    const times = (text, what) => text.split(what).length - 1;
    const opened = (socket, text) => {
        const answers = times(text, 'HTTP/1.1 ');
        counts.refused += times(text, 'HTTP/1.1 503');
        counts.handshakes += times(text, '"sid"');
        socket.write(HANDSHAKE.repeat(answers));
    };
    for (let i = 0; i < connections; i++) dial(HANDSHAKE.repeat(AT_ONCE), opened);
    for (let i = 0; i < sockets; i++) {
        dial('', () => {});
        dial(STATUS, (socket, text) => (counts.status += times(text, 'HTTP/1.1 200')));
    }
    process.on('SIGTERM', () => {
        over = true;
        console.log(`result ${JSON.stringify(counts)}`);
        process.exit(0);
    });
    process.on('SIGUSR2', () => console.log(`counts ${JSON.stringify(counts)}`));
    console.log('flooding');
}

class Flood {
    static async start(context, daemon, options) {
        const { Process } = require('../../e2e/lib/proc');
        const { within } = require('../../e2e/lib/time');
        const flood = new Flood();
        flood.within = within;
        flood.process = new Process(process.execPath, [__filename, JSON.stringify({ where: daemon.addr, ...options })], { cwd: path.resolve(__dirname, '../../e2e') });
        context.show(flood.process);
        context.after(async () => {
            flood.process.signal('SIGKILL');
            await flood.process.ended(within(2000));
        });
        await flood.process.line(/^flooding$/m, within(5000));
        return flood;
    }
    async ask(signal, what) {
        const from = this.process.log.length;
        this.process.signal(signal);
        const [, json] = await this.process.line(new RegExp(`^${what} (.*)$`, 'm'), this.within(5000), from);
        return JSON.parse(json);
    }
    counts() {
        return this.ask('SIGUSR2', 'counts');
    }
    stop() {
        return this.ask('SIGTERM', 'result');
    }
}

if (require.main === module) run(JSON.parse(process.argv[2]));
module.exports = { Flood };
