'use strict';
/* Bytes that nobody should send: to redis, and from clients. */
const { OP, frame } = require('./raw');

/* Payloads that are no messages, and one that is. */
const nested = (depth) => Buffer.concat([
    Buffer.from('93a7656d697474657283a47479706502a46461746192a178', 'hex'), Buffer.alloc(depth, 0x91), Buffer.from('c0', 'hex'),
    Buffer.from('a36e7370a42f617872', 'hex'), Buffer.from('82a5726f6f6d7390a5666c61677380', 'hex'),
]);
const whole = Buffer.from('93a7656d697474657283a47479706502a46461746192a17801a36e7370a42f61787283a5726f6f6d7390a5666c61677380a665786365707490', 'hex');
const MALFORMED = [
    Buffer.alloc(0), Buffer.from('df', 'hex'), Buffer.from('dfffffffff', 'hex'), Buffer.from('ddffffffff', 'hex'),
    Buffer.from('93a7656d6974746572dfffffffff', 'hex'), Buffer.from('c6ffffffff', 'hex'), Buffer.from('dbffffffff', 'hex'),
    Buffer.from('c1', 'hex'), Buffer.from('90', 'hex'), Buffer.from('80', 'hex'), Buffer.from('{"json":1}'), Buffer.from('[1]'),
    Buffer.from('93010203', 'hex'), Buffer.from('93c0c0c0', 'hex'), Buffer.from('93a0a0a0', 'hex'),
    nested(100000), Buffer.alloc(100000, 0x91), Buffer.alloc(100000, 0x81), Buffer.alloc(1 << 20, 0xff),
    Buffer.concat([whole, Buffer.from('00', 'hex')]), Buffer.concat([whole, whole]),
    ...Array.from({ length: whole.length - 1 }, (_, index) => whole.subarray(0, index + 1)),
];

/* WebSocket frames, and the close codes that are right. */
const BAD_FRAMES = {
    'RSV1': [frame(OP.TEXT, '3', { rsv: 4 }), 1002],
    'RSV2': [frame(OP.TEXT, '3', { rsv: 2 }), 1002],
    'RSV3': [frame(OP.TEXT, '3', { rsv: 1 }), 1002],
    'opcode 3': [frame(3, 'x'), 1002],
    'opcode 11': [frame(11, 'x'), 1002],
    'an unmasked frame': [frame(OP.TEXT, '3', { masked: false }), 1002],
    'a ping of 126 bytes': [frame(OP.PING, 'x'.repeat(126)), 1002],
    'a fragmented ping': [frame(OP.PING, 'x', { fin: false }), 1002],
    'a fragmented close': [frame(OP.CLOSE, '', { fin: false }), 1002],
    'a continuation of nothing': [frame(OP.CONT, 'x'), 1002],
    'a new message inside another': [Buffer.concat([frame(OP.TEXT, '4', { fin: false }), frame(OP.TEXT, '3')]), 1002],
    'text that is not UTF-8': [frame(OP.TEXT, Buffer.from('34ff', 'hex')), 1007],
    'text that ends inside a character': [frame(OP.TEXT, Buffer.from('34e282', 'hex')), 1007],
    'a surrogate in UTF-8': [frame(OP.TEXT, Buffer.from('34eda080', 'hex')), 1007],
    'bad UTF-8 in the second fragment': [
        Buffer.concat([frame(OP.TEXT, Buffer.from('34e2', 'hex'), { fin: false }), frame(OP.CONT, Buffer.from('28', 'hex'))]), 1007,
    ],
    'a close of one byte': [frame(OP.CLOSE, 'x'), 1002],
    'close code 999': [frame(OP.CLOSE, Buffer.from([3, 231])), 1002],
    'close code 1005': [frame(OP.CLOSE, Buffer.from([3, 237])), 1002],
    'close code 1006': [frame(OP.CLOSE, Buffer.from([3, 238])), 1002],
    'close code 5000': [frame(OP.CLOSE, Buffer.from([19, 136])), 1002],
    'a close reason that is not UTF-8': [frame(OP.CLOSE, Buffer.from([3, 232, 255])), [1002, 1007]],
    'a frame that claims 2^31 - 2 bytes': [frame(OP.TEXT, 'x', { claim: 2 ** 31 - 2 }), 1009],
    'a frame above maxHttpBufferSize': [frame(OP.TEXT, 'x', { claim: 1000001 }), 1009],
};

module.exports = { MALFORMED, whole, BAD_FRAMES };
