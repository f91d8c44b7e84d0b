// Writes doubles_js.h: what JSON.stringify of the Node that runs this makes of doubles whose
// shortest form is decided by the last bit.
//
//     node test/unit/doubles.js | clang-format >test/unit/doubles_js.h
"use strict";
const view = new DataView(new ArrayBuffer(8));
const ofBits = (bits) => (view.setBigUint64(0, bits), view.getFloat64(0));
const bitsOf = (value) => (view.setFloat64(0, value), view.getBigUint64(0));
const ofBits32 = (bits) => (view.setUint32(0, bits), view.getFloat32(0));
const hex = (bits, n) => "0x" + bits.toString(16).padStart(n, "0");

// Quarters from 2^50 to 2^51 are as far from the decimal below as from the one above: no other
// doubles are.
function ties() {
    const found = [];
    for (const whole of [2 ** 50, 2 ** 50 + 1, 2 ** 50 + 8, 1.5e15, 2e15 + 9, 2 ** 51 - 1])
        for (const part of [0.25, 0.75])
            found.push(bitsOf(whole + part), bitsOf(-whole - part));
    return found;
}

// The middle of the gap between two doubles is t * 10^k, shorter than either: the one whose
// last bit is 0 is written so, the other is not.
function middles() {
    const found = [];
    for (let k = 1n; k <= 22n; k++) {
        const five = 5n ** k;
        let t = 2n ** 53n / five + 1n;
        if (t % 2n === 0n)
            t++;
        for (let n = 0; n < 2; n++, t += 2n) {
            const below = (t * five - 1n) / 2n, exp = k + 1n + 1075n;
            if (below + 1n >= 2n ** 53n)
                continue;
            const bits = (below - 2n ** 52n) | (exp << 52n);
            found.push(bits, bits + 1n);
        }
    }
    return found;
}

const limits = [
    0x8000000000000000n, 1n, 2n, 3n, 0x000fffffffffffffn, 0x0010000000000000n,
    0x0010000000000001n, bitsOf(2 ** 53 - 1), bitsOf(2 ** 53), bitsOf(2 ** 53 + 2),
    bitsOf(-(2 ** 53) + 1), bitsOf(-(2 ** 53)), bitsOf(-(2 ** 53) - 2), bitsOf(2 ** 63),
    bitsOf(-(2 ** 63)), bitsOf(2 ** 64), 0x7feffffffffffffen, 0x7fefffffffffffffn,
    0xffefffffffffffffn,
];

// FNV-1a of the texts, each with a newline.
function sum(texts) {
    let hash = 0xcbf29ce484222325n;
    for (const text of texts)
        for (const byte of Buffer.from(text + "\n"))
            hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
    return hash;
}

const print = (line) => process.stdout.write(line + "\n");
const rows = (list) => {
    for (const bits of list)
        print(`    {${hex(bits, 16)}, "${JSON.stringify(ofBits(bits))}"},`);
};
const sums = (list) => list.forEach((hash) => print(`    ${hex(hash, 16)},`));

print(`/* Doubles by their bits, and what JSON.stringify of Node ${process.versions.node} makes of`);
print(" * them: those whose form the last bit decides.  Written by doubles.js. */");
print("#ifndef TEST_DOUBLES_JS_H");
print("#define TEST_DOUBLES_JS_H");
print("");
print("#include <stddef.h>");
print("#include <stdint.h>");
print("");
print("static const struct {");
print("    uint64_t bits;");
print("    const char *text;");
print("} doubles_js[] = {");
print("    /* two decimals are as near */");
rows(ties());
print("    /* a short decimal reads as the neighbour, too */");
rows(middles());
print("    /* the first and last of their kind */");
rows(limits);
print("};");
print("");
print("/* FNV-1a; begins with DOUBLES_JS_SUM. */");
print("#define DOUBLES_JS_SUM 0xcbf29ce484222325");
print("static inline uint64_t doubles_js_sum(uint64_t sum, const void *bytes, size_t len)");
print("{");
print("    for (const uint8_t *at = bytes; len > 0; at++, len--)");
print("        sum = (sum ^ *at) * 0x100000001b3;");
print("    return sum;");
print("}");
print("");
print("/* The sums of the texts, each with a newline, of all powers of two and of the doubles");
print(" * before and behind each: one for each 128 exponents, from that of the subnormal ones");
print(" * on. */");
print("static const uint64_t doubles_js_sums[16] = {");
const all = [];
for (let exp = 0n; exp < 2048n; exp += 128n) {
    const texts = [];
    for (let e = exp; e < exp + 128n; e++)
        for (const step of [-1n, 0n, 1n]) {
            const bits = (e << 52n) + step;
            if (bits >= 0n && bits < 0x7ff0000000000000n)
                texts.push(JSON.stringify(ofBits(bits)));
        }
    all.push(sum(texts));
}
sums(all);
print("};");
print("");
print("/* The same of 32 bits: one for each 32 exponents. */");
print("static const uint64_t floats_js_sums[8] = {");
const all32 = [];
for (let exp = 0; exp < 256; exp += 32) {
    const texts = [];
    for (let e = exp; e < exp + 32; e++)
        for (const step of [-1, 0, 1]) {
            const bits = e * 0x800000 + step;
            if (bits >= 0 && bits < 0x7f800000)
                texts.push(JSON.stringify(ofBits32(bits)));
        }
    all32.push(sum(texts));
}
sums(all32);
print("};");
print("");
print("#endif");
