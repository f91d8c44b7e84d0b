'use strict';
/* A swarm process (test/bench/swarm.c says what it can do). */
const path = require('path');
const readline = require('readline');
const { spawn } = require('child_process');
const { CLIENT } = require('./machine');
const { BUILD, SECRET } = require('../../e2e/lib/daemon');

class Swarm {
    /* of one server; options: source (address), prefix (of the users), nice, patience (seconds),
     * returns (1: who loses the connection comes back). */
    constructor(world, server, { source = '127.0.1.1', prefix = 'user', nice = 0, patience = 30, returns = 0 } = {}) {
        const words = [...CLIENT, path.join(BUILD, 'bench', 'swarm')]
            .concat(['--port', server.port, '--redis', world.redis.port, '--key', server.key])
            .concat(['--secret', SECRET, '--source', source, '--tls', Number(server.tls || 0)])
            .concat(server.pids.flatMap((pid) => ['--pid', pid]))
            .concat(['--prefix', prefix, '--nice', nice, '--patience', patience, '--returns', returns]);
        this.server = server;
        this.child = spawn(words[0], words.slice(1).map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
        this.waiting = [];
        this.clients = 0;
        readline.createInterface({ input: this.child.stdout }).on('line', (line) => {
            const answer = JSON.parse(line);
            this.clients = answer.clients;
            this.waiting.shift().resolve(answer);
        });
        this.over = new Promise((resolve) => this.child.on('exit', resolve));
        this.child.stdin.on('error', () => {}); /* its end is told by 'exit' */
        this.child.on('exit', (code) => {
            for (const one of this.waiting.splice(0)) one.reject(new Error(`swarm ended with ${code}`));
        });
        world.after(() => this.stop());
    }
    /* Resolves to the answer. */
    tell(command, fields = {}) {
        const words = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
        return new Promise((resolve, reject) => {
            this.waiting.push({ resolve, reject });
            this.child.stdin.write(`${[command, ...words].join(' ')}\n`);
        });
    }
    /* how.resume: 1: by short handshakes, from the second client of all on. */
    async connect(clients, how = {}) {
        if (how.resume && this.server.tls && !this.toldOnce) {
            this.toldOnce = await this.connect(1);
            await this.close();
        }
        const answer = await this.tell('connect', { clients, ...how });
        if (answer.failed || answer.joined.n !== clients)
            throw new Error(`${this.server.name}: ${clients - answer.joined.n} of ${clients} clients not connected`);
        if (this.server.tls && answer.resumed !== (how.resume ? clients : 0))
            throw new Error(`${this.server.name}: ${answer.resumed} of ${clients} handshakes were resumed`);
        return answer;
    }
    /* All is delivered, or it is an error. */
    async publish(fields) {
        const answer = await this.tell('publish', fields);
        Swarm.check(this.server, answer);
        return answer;
    }
    static check(server, answer) {
        if (answer.gone) throw new Error(`${server.name}: ${answer.gone} clients were disconnected`);
        if (answer.heard !== answer.wanted || answer.wrong)
            throw new Error(`${server.name}: ${answer.wanted - answer.heard} of ${answer.wanted} deliveries lost, ${answer.wrong} wrong`);
    }
    /* Has just so many clients; resolves when the server has seen them all. */
    async have(clients) {
        if (this.clients === clients) return;
        await this.close();
        if (clients) await this.connect(clients);
    }
    async close() {
        if (this.clients) await this.tell('close');
        await this.server.settled();
    }
    async stop() {
        this.child.stdin.end();
        await this.over;
    }
}

module.exports = { Swarm };
