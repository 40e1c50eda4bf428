/* bundle_check.h: the rules of a bundle, in the order and by the names of tsm_edge/bundle/__init__.py. */
#ifndef TSM_BUNDLE_CHECK_H
#define TSM_BUNDLE_CHECK_H

#include "json.h"
#include "manifest_rules.h"

enum { BUNDLE_PATH = 4096 }; /* bytes of the longest path, NUL included */

typedef struct {
    char folder[BUNDLE_PATH];
    char *text;          /* manifest.json, decoded in place; owned */
    json_document json;
    const json_value *manifest;
} bundle;

/* Checks the bundle in `folder` by rules 1 to 11 and, when it keeps them, fills in *b. Otherwise returns 0 and *why.
 * Free the bundle in both cases. */
int bundle_check(bundle *b, const char *folder, refusal *why);
void bundle_free(bundle *b);

/* Text or number of a key in one of the manifest's groups, "" for the manifest itself. The rules hold: it is there. */
const json_value *bundle_value(const bundle *b, const char *group, const char *key);

#endif
