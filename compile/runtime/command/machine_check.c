/* machine_check.c: rules 9 to 11 of a bundle, which are about this machine. */
#include "bundle_check.h"
#include "cpu.h"
#include "printable.h"

#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#if defined(__x86_64__)
#define THIS_ARCH "x86_64"
#elif defined(__aarch64__)
#define THIS_ARCH "aarch64"
#else
#define THIS_ARCH "armv7l"
#endif

enum { SHOWN = 128 }; /* bytes of a name in a message */

static const char *target_name(const bundle *b, char shown[SHOWN]) {
    return printable(shown, SHOWN, bundle_value(b, "target", "name")->text);
}

/* What this program was compiled for, not what uname says: a 64-bit kernel may run a 32-bit system. */
static int check_arch(const bundle *b, refusal *why) {
    char shown[SHOWN];
    const json_value *arch = bundle_value(b, "target", "arch");
    return json_is(arch, THIS_ARCH) ||
           refuse(why, "wrong-arch",
                  "This bundle is for another architecture.\n  found: " THIS_ARCH "\n  allowed: %s\n"
                  "  hint: this bundle is for '%s'; compile one for this machine",
                  arch->text, target_name(b, shown));
}

static int check_libc(const bundle *b, refusal *why) {
    char shown[SHOWN];
    const char *have = "no glibc", *need = bundle_value(b, "target", "glibc")->text;
    unsigned have_major = 0, have_minor = 0, need_major = 0, need_minor = 0;
    const int android = json_is(bundle_value(b, "target", "libc"), "bionic");
    if (json_is(bundle_value(b, "target", "libc"), "musl") || json_is(bundle_value(b, "target", "link"), "static"))
        return 1; /* carries its C library */
#ifdef __GLIBC__
    if (android)
        return refuse(why, "wrong-libc",
                      "This bundle is for Android.\n  found: glibc %s\n  allowed: Android's C library\n"
                      "  hint: this bundle is for '%s'; compile one for this machine",
                      gnu_get_libc_version(), target_name(b, shown));
#endif
    if (android) return 1;
#ifdef __GLIBC__
    have = gnu_get_libc_version();
    sscanf(have, "%u.%u", &have_major, &have_minor);
#endif
    sscanf(need, "%u.%u", &need_major, &need_minor);
    if (have_major > need_major || (have_major == need_major && have_minor >= need_minor)) return 1;
    return refuse(why, "wrong-libc",
                  "This machine's C library is too old for the bundle.\n  found: %s\n  allowed: glibc %s and newer\n"
                  "  hint: this bundle is for '%s'; compile one for this machine",
                  have, need, target_name(b, shown));
}

static int check_cpu(const bundle *b, refusal *why) {
    char found[128], missing[128] = "", shown[SHOWN];
    for (const json_value *m = bundle_value(b, "target", "requires")->first; m != NULL; m = m->next) {
        const size_t used = strlen(missing);
        if (!tsm_cpu_has(m->text)) snprintf(missing + used, sizeof missing - used, "%s%s", used ? " " : "", m->text);
    }
    return missing[0] == '\0' ||
           refuse(why, "wrong-cpu",
                  "This CPU lacks instructions that the bundle uses: %s\n  found: %s\n"
                  "  hint: this bundle is for '%s'; compile one for a target without them",
                  missing, tsm_cpu_found(found, sizeof found), target_name(b, shown));
}

int bundle_check_machine(const bundle *b, refusal *why) {
    return check_arch(b, why) && check_libc(b, why) && check_cpu(b, why);
}
