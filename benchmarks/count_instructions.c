/* count_instructions.c: a plugin for QEMU's user emulation that counts the guest instructions a program executes.
 *
 *   cc -shared -fPIC -O2 -DAPI=1 count_instructions.c -o count.so      (API=2 for QEMU 9 and newer)
 *   qemu-aarch64 -plugin ./count.so PROGRAM                            (Debian: qemu-user; the static build has no plugins)
 *
 * At the end it prints "guest-instructions N" on stderr. QEMU translates a program block by block; each block knows its
 * number of instructions, which is added whenever the block is entered. One count for all threads, without a lock: for
 * programs of one thread. The few names of QEMU's plugin interface are declared here, so that no header is needed. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PUBLIC __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_info_t;
struct qemu_plugin_tb;
enum { NO_REGISTERS = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*translated)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*entered)(unsigned int, void *), int flags,
                                          void *data);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*ended)(plugin_id, void *), void *data);

PUBLIC int qemu_plugin_version = API;

static uint64_t executed;

static void entered(unsigned int cpu, void *instructions) {
    (void)cpu;
    executed += (uintptr_t)instructions;
}

static void translated(plugin_id id, struct qemu_plugin_tb *block) {
    (void)id;
    /* the number travels in the pointer: it needs no memory that would have to live as long as the block */
    void *instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, entered, NO_REGISTERS, instructions);
}

static void ended(plugin_id id, void *data) {
    (void)id, (void)data;
    fprintf(stderr, "guest-instructions %llu\n", (unsigned long long)executed);
}

PUBLIC int qemu_plugin_install(plugin_id id, const struct qemu_info_t *info, int argc, char **argv) {
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
