'use strict';
/* The log in JSON, as axr-notifyd-log(7) has it: its tables are read from the manual. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');

const MANUAL = path.join(__dirname, '../../../man/axr-notifyd-log.7');
const LEVELS = ['error', 'warn', 'info', 'debug'];
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const strings = (list) => Array.isArray(list) && list.every((item) => typeof item === 'string');
const numbers = (list) => Array.isArray(list) && list.every((item) => typeof item === 'number');
const TYPES = {
    string: (value) => typeof value === 'string',
    number: (value) => typeof value === 'number',
    true: (value) => value === true,
    'array of strings': strings,
    'array of numbers': numbers,
};

function section(text, name) {
    const start = text.indexOf(`.\\" ${name}`);
    return text.slice(start, text.indexOf('.\\" END', start)).split('\n').slice(1, -1);
}

/* { events: name -> { message, levels, must, may }, types: member -> its type } */
function documented() {
    const text = fs.readFileSync(MANUAL, 'utf8');
    const events = {};
    let event;
    for (const line of section(text, 'EVENTS')) {
        const [, name] = /^\.It Va (\w+)$/.exec(line) || [];
        const [, message, levels] = /^\\\(lq(.*)\\\(rq, ([a-z, ]+)[.:]$/.exec(line) || [];
        if (name) events[name] = event = { must: [], may: [] };
        else if (message !== undefined) Object.assign(event, { message: message.replace(/\\\(dq/g, '"'), levels: levels.split(', ') });
        else
            for (const member of line.replace(/^\.Va /, '').split(' , '))
                (member.startsWith('[') ? event.may : event.must).push(member.replace(/[[\] ]/g, ''));
    }
    const types = {};
    for (const line of section(text, 'MEMBERS')) {
        const [, name, type] = /^\.It Va (\w+) Pq (.*)$/.exec(line) || [];
        if (name) types[name] = TYPES[type] || assert.fail(`a type of that name: ${line}`);
    }
    return { events, types };
}

/* Fails where a line is not as the manual says; returns its object.  without: 'time' where the log
 * has none. */
function parse(line, manual, without) {
    const object = JSON.parse(line);
    const { time, level, process, pid, message, event: name, ...rest } = object;
    const event = manual.events[name] || assert.fail(`no such event in the manual: ${line}`);
    const first = ['time', 'level', 'process', 'pid', 'message', 'event'].filter((key) => key !== without);

    assert.deepStrictEqual(Object.keys(object).slice(0, first.length), first, line);
    if (without !== 'time') assert.match(time, TIME);
    /* What is muted is told at debug. */
    assert.ok(event.levels.includes(level) || (level === 'debug' && event.may.includes('times')), `the level: ${line}`);
    assert.ok(LEVELS.includes(level) && Number.isInteger(pid) && message === event.message, line);
    const [, number] = /^worker (\d+)$/.exec(process) || [];
    assert.ok(number || process === 'master' || process === 'axr-notifyd', line);
    if (number) assert.strictEqual(rest.worker, Number(number), line);
    const members = [...event.must, ...event.may, ...(number ? ['worker'] : []), 'cut'];
    for (const [key, value] of Object.entries(rest)) {
        assert.ok(members.includes(key), `${key} is no member of this event in the manual: ${line}`);
        assert.ok(key === 'cut' ? value === true : manual.types[key](value), `the type of ${key}: ${line}`);
    }
    if (!rest.cut) for (const key of event.must) assert.ok(key in rest, `${key} is missing: ${line}`);
    return object;
}

module.exports = { documented, parse };
