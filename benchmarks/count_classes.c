/* count_classes.c: a plugin for QEMU's user emulation that counts guest instructions by class.
 *
 *   cc -shared -fPIC -O2 -DAPI=1 count_classes.c -o classes.so         (API=2 for QEMU 9 and newer)
 *   qemu-aarch64 -plugin ./classes.so,marked=on PROGRAM                (Debian: qemu-user; the static build has no plugins)
 *
 * A class is the mnemonic and, of a vector instruction, how its first register is divided: "fmla.8h", "sdot.4s", "ldr".
 * At the end one line for each class is printed on stderr, "guest-class NAME N". With marked=on only what runs between
 * two system calls counts: getpriority(PRIO_PGRP, 0) begins and getpriority(PRIO_USER, 0) ends a piece. For programs of
 * one thread. The few names of QEMU's plugin interface are declared here, so that no header is needed. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { NO_REGISTERS = 0, GETPRIORITY = 141, BEGIN = 1, END = 2 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
char *qemu_plugin_insn_disas(const struct qemu_plugin_insn *instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*translated)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*entered)(unsigned int, void *), int flags,
                                          void *data);
typedef void syscall_cb(plugin_id, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id id, syscall_cb *called);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*ended)(plugin_id, void *), void *data);

PUBLIC int qemu_plugin_version = API;

enum { NAME = 32, CLASSES = 4096 };
struct block {
    struct block *next;
    uint64_t entered;
    size_t size;
    uint16_t classes[];
};

static char names[CLASSES][NAME];
static uint64_t totals[CLASSES];
static size_t known;
static struct block *blocks;
static bool counting = true;

static uint16_t class_of(const char *name) {
    for (size_t i = 0; i < known; i++)
        if (strcmp(names[i], name) == 0) return (uint16_t)i;
    if (known == CLASSES) return CLASSES - 1;
    snprintf(names[known], NAME, "%s", name);
    return (uint16_t)known++;
}

/* What QEMU's own disassembler does not know it prints as bytes: the extensions of Armv8.2 to 8.6 that matter here. */
static const char *extension(const char *bytes) {
    static const struct {
        uint32_t mask, value;
        const char *name;
    } known_codes[] = {
        {0xbfe0fc00, 0x0e809400, "sdot"},    {0xbfc0f400, 0x0f80e000, "sdot"},    {0xbfe0fc00, 0x2e809400, "udot"},
        {0xbfc0f400, 0x2f80e000, "udot"},    {0xffe0fc00, 0x4e80a400, "smmla"},   {0xffe0fc00, 0x6e80a400, "ummla"},
        {0xffe0fc00, 0x4e80ac00, "usmmla"},  {0xffe0fc00, 0x4e400c00, "fmla.8h"}, {0xffc0f400, 0x4f001000, "fmla.8h"},
        {0xffe0fc00, 0x0e400c00, "fmla.4h"}, {0xffc0f400, 0x0f001000, "fmla.4h"}, {0x9f60c400, 0x0e400400, "fp16"},
    };
    unsigned int b[4];
    if (sscanf(bytes, ".byte %x, %x, %x, %x", &b[0], &b[1], &b[2], &b[3]) != 4) return NULL;
    const uint32_t code = b[0] | b[1] << 8 | b[2] << 16 | b[3] << 24;
    for (size_t i = 0; i < sizeof known_codes / sizeof known_codes[0]; i++)
        if ((code & known_codes[i].mask) == known_codes[i].value) return known_codes[i].name;
    return "unknown";
}

/* "fmla v0.8h, v1.8h, v2.h[0]" -> "fmla.8h"; "ldr q0, [x1]" -> "ldr.q"; "add x0, x1, x2" -> "add" */
static void name_of(const char *text, char *name) {
    size_t length = strcspn(text, " \t");
    if (length > NAME - 8) length = NAME - 8;
    memcpy(name, text, length);
    name[length] = 0;
    const char *operand = text + strcspn(text, " \t");
    operand += strspn(operand, " \t{[");
    if (extension(text) != NULL) {
        snprintf(name, NAME, "%s", extension(text));
        return;
    }
    const size_t letters = strspn(operand, "abcdefghijklmnopqrstuvwxyz"), digits = strspn(operand + letters, "0123456789");
    const char *end = operand + letters + digits;
    if (letters == 1 && digits && (*operand == 'v' || *operand == 'z') && *end == '.')
        snprintf(name + length, NAME - length, ".%.*s", (int)strspn(end + 1, "0123456789bhsdq"), end + 1);
    else if (letters == 1 && digits && (*operand == 'q' || *operand == 'd' || *operand == 's' || *operand == 'h'))
        snprintf(name + length, NAME - length, ".%c", *operand);
}

static void entered(unsigned int cpu, void *data) {
    (void)cpu;
    if (counting) ((struct block *)data)->entered++;
}

static void translated(plugin_id id, struct qemu_plugin_tb *translation) {
    (void)id;
    const size_t size = qemu_plugin_tb_n_insns(translation);
    struct block *block = calloc(1, sizeof *block + size * sizeof block->classes[0]);
    if (block == NULL) abort();
    block->size = size;
    for (size_t i = 0; i < size; i++) {
        char *text = qemu_plugin_insn_disas(qemu_plugin_tb_get_insn(translation, i)), name[NAME] = "?";
        if (text != NULL) name_of(text, name);
        free(text);
        block->classes[i] = class_of(name);
    }
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_cb(translation, entered, NO_REGISTERS, block);
}

static void called(plugin_id id, unsigned int cpu, int64_t number, uint64_t which, uint64_t a2, uint64_t a3, uint64_t a4,
                   uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == GETPRIORITY && which == BEGIN) counting = true;
    if (number == GETPRIORITY && which == END) counting = false;
}

static void ended(plugin_id id, void *data) {
    (void)id, (void)data;
    for (const struct block *block = blocks; block != NULL; block = block->next)
        for (size_t i = 0; i < block->size; i++) totals[block->classes[i]] += block->entered;
    for (size_t i = 0; i < known; i++)
        if (totals[i]) fprintf(stderr, "guest-class %s %llu\n", names[i], (unsigned long long)totals[i]);
}

PUBLIC int qemu_plugin_install(plugin_id id, const struct qemu_info_t *info, int argc, char **argv) {
    (void)info;
    if (argc > 0 && strcmp(argv[0], "marked=on") == 0) {
        counting = false;
        qemu_plugin_register_vcpu_syscall_cb(id, called);
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
