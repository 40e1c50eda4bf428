/* manifest_rules.h: what a manifest.json of format 3 must contain: rules 3 and 4 of tsm_edge/bundle/__init__.py. */
#ifndef TSM_MANIFEST_RULES_H
#define TSM_MANIFEST_RULES_H

#include "json.h"
#include "refusal.h"

enum { BUNDLE_FORMAT = 3 };

/* 1 when the document keeps the rules, otherwise 0 and *why. */
int manifest_check(const json_value *document, refusal *why);

#endif
