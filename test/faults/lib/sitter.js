'use strict';
/* Clients that sit there and answer heartbeats, in a process of their own.
 * argv[2]: JSON of { where, token, count }.  Says "sitting" when all are in: a third each
 * of EIO4 and EIO3 over WebSocket, and of polling. */
const path = require('path');

async function run({ where, token, count }) {
    const { joined } = require('../../e2e/lib/raw');
    const { polled } = require('../../e2e/lib/http');
    for (let i = 0; i < count; i++) {
        if (i % 3 === 2) {
            const client = await polled(where, token);
            (async () => {
                for (;;) await client.take(1e8);
            })().catch(() => {});
            continue;
        }
        const client = await joined(where, token, { eio: 3 + (i % 3) });
        const ping = setInterval(() => client.eio === 3 && client.sendText('2'), client.handshake.pingInterval / 2);
        client.closed.then(() => clearInterval(ping));
    }
    console.log('sitting');
    setInterval(() => {}, 1e6);
}

/* wrap: a command to run it under. */
async function sit(context, options, wrap = []) {
    const { Process } = require('../../e2e/lib/proc');
    const { within } = require('../../e2e/lib/time');
    const [command, ...args] = [...wrap, process.execPath, __filename, JSON.stringify(options)];
    const sitter = new Process(command, args, { cwd: path.resolve(__dirname, '../../e2e') });
    context.show(sitter);
    context.after(async () => {
        sitter.signal('SIGKILL');
        await sitter.ended(within(2000));
    });
    await sitter.line(/^sitting$/m, within(10000));
    return sitter;
}

if (require.main === module) {
    run(JSON.parse(process.argv[2])).catch((error) => {
        console.log(error);
        process.exit(1);
    });
}
module.exports = { sit };
