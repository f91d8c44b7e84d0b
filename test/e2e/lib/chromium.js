'use strict';
/* A headless Chromium that a test drives, by the DevTools protocol over two pipes: no package
 * and no port is needed for that. */
const fs = require('fs');
const path = require('path');
const { spawn } = require('child_process');
const { CHROMIUM, FLAGS } = require('./browser');
const { tempDir } = require('./proc');
const { deadline, within } = require('./time');

/* What a key is called, and what it does where text is typed. */
const KEYS = {
    Tab: { code: 'Tab', windowsVirtualKeyCode: 9 },
    Enter: { code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' },
    Space: { key: ' ', code: 'Space', windowsVirtualKeyCode: 32, text: ' ' },
    Escape: { code: 'Escape', windowsVirtualKeyCode: 27 },
    ArrowLeft: { code: 'ArrowLeft', windowsVirtualKeyCode: 37 },
    ArrowRight: { code: 'ArrowRight', windowsVirtualKeyCode: 39 },
    Home: { code: 'Home', windowsVirtualKeyCode: 36 },
    End: { code: 'End', windowsVirtualKeyCode: 35 },
};
const SHIFT = 8;

class Chromium {
    static async start(t) {
        const browser = new Chromium();
        const dir = tempDir(t);
        const args = [...FLAGS, '--remote-debugging-pipe', '--hide-scrollbars', '--force-color-profile=srgb', `--user-data-dir=${dir}`, 'about:blank'];
        browser.child = spawn(CHROMIUM, args, { env: { ...process.env, HOME: dir, TZ: 'UTC' }, stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
        browser.log = '';
        browser.title = 'what Chromium says';
        browser.child.stderr.setEncoding('utf8').on('data', (text) => (browser.log += text));
        browser.waiting = new Map();
        browser.pages = new Map();
        browser.sent = 0;
        let rest = Buffer.alloc(0);
        browser.child.stdio[4].on('data', (bytes) => {
            rest = Buffer.concat([rest, bytes]);
            for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) browser.got(JSON.parse(rest.subarray(0, end)));
        });
        browser.child.stdio[3].on('error', () => {});
        browser.ended = new Promise((resolve) => browser.child.on('exit', resolve));
        t.show(browser);
        t.after(() => {
            browser.child.kill('SIGTERM');
            return deadline(browser.ended, within(10000), 'the end of Chromium');
        });
        return browser;
    }
    got({ id, sessionId, method, params, result, error }) {
        if (!id) {
            const page = this.pages.get(sessionId);
            if (page) page.got(method, params);
            return;
        }
        const { resolve, reject } = this.waiting.get(id);
        this.waiting.delete(id);
        if (error) reject(new Error(`${error.message} ${error.data || ''}`));
        else resolve(result);
    }
    send(method, params = {}, sessionId = undefined) {
        const id = ++this.sent;
        const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
        this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
        return deadline(answer, within(10000), method);
    }
    async open(url, view) {
        const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
        const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
        const page = new Page(this, sessionId, targetId);
        this.pages.set(sessionId, page);
        for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.send(`${domain}.enable`);
        await page.view(view);
        await page.visit(url);
        return page;
    }
}

class Page {
    constructor(browser, sessionId, targetId) {
        Object.assign(this, { browser, sessionId, targetId, complaints: [], watchers: new Set() });
    }
    send(method, params) {
        return this.browser.send(method, params, this.sessionId);
    }
    got(method, params) {
        if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(params.type))
            this.complaints.push(params.args.map((one) => one.value || one.description).join(' '));
        if (method === 'Runtime.exceptionThrown') this.complaints.push(params.exceptionDetails.exception.description || params.exceptionDetails.text);
        if (method === 'Page.javascriptDialogOpening') this.complaints.push(`a dialog: ${params.message}`);
        if (method === 'Log.entryAdded' && params.entry.level !== 'verbose') this.complaints.push(`${params.entry.level}: ${params.entry.text} ${params.entry.url || ''}`);
        for (const watcher of [...this.watchers]) watcher(method, params);
    }
    heard(method, check = () => true) {
        let watcher;
        const met = new Promise((resolve) => {
            watcher = (name, params) => name === method && check(params) && resolve(params);
            this.watchers.add(watcher);
        });
        return deadline(met, within(15000), method).finally(() => this.watchers.delete(watcher));
    }
    async visit(url) {
        const loaded = this.heard('Page.loadEventFired');
        await this.send('Page.navigate', { url });
        await loaded;
    }
    /* width and height in CSS pixels; scheme: light or dark. */
    async view({ width = 1280, height = 900, scheme = 'light', scale = 1, calm = true } = {}) {
        await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: scale, mobile: false });
        await this.send('Emulation.setEmulatedMedia', { features: [
            { name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: calm ? 'reduce' : 'no-preference' },
        ] });
    }
    /* What fn, which runs in the page, returns or resolves to. */
    async run(fn, ...args) {
        const expression = typeof fn === 'string' ? fn : `(${fn})(...${JSON.stringify(args)})`;
        const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
        if (exceptionDetails) throw new Error(exceptionDetails.exception ? exceptionDetails.exception.description : exceptionDetails.text);
        return result.value;
    }
    /* Resolves to what fn returns once that is true. */
    async until(fn, what, ...args) {
        const ms = within(5000);
        const text = `(async () => { const end = Date.now() + ${ms};
            for (;;) { const got = (${fn})(...${JSON.stringify(args)}); if (got || Date.now() > end) return got;
                await new Promise((again) => setTimeout(again, 20)); } })()`;
        const got = await this.run(text);
        if (!got) throw new Error(`not within ${ms} ms: ${what}; the page has\n${await this.run(() => document.body.innerText)}`);
        return got;
    }
    async press(key, { shift = false } = {}) {
        const event = { key, ...KEYS[key], modifiers: shift ? SHIFT : 0 };
        await this.send('Input.dispatchKeyEvent', { type: event.text ? 'keyDown' : 'rawKeyDown', ...event });
        await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event, text: undefined });
    }
    /* Text into what has the focus. */
    type(text) {
        return this.send('Input.insertText', { text });
    }
    async click(selector) {
        const { x, y } = await this.run((s) => {
            const element = document.querySelector(s);
            element.scrollIntoView({ block: 'center', behavior: 'instant' });
            const box = element.getBoundingClientRect();
            return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
        }, selector);
        const mouse = { x, y, button: 'left', clickCount: 1 };
        for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased']) await this.send('Input.dispatchMouseEvent', { type, ...mouse });
    }
    /* Puts text in place of what a field has. */
    async fill(selector, text) {
        await this.run((s) => {
            const field = document.querySelector(s);
            field.focus();
            field.select();
        }, selector);
        await this.type(text);
    }
    /* A picture of the page, to its end, as a file. */
    async picture(file) {
        fs.mkdirSync(path.dirname(file), { recursive: true });
        const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true });
        fs.writeFileSync(file, Buffer.from(data, 'base64'));
    }
    async close() {
        await this.browser.send('Target.closeTarget', { targetId: this.targetId });
        this.browser.pages.delete(this.sessionId);
    }
}

module.exports = { Chromium };
