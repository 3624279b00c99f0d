/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a scenario: the steps.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario_internal.h"

/* What a step's verb names, and which keys it may have. */
enum subject { NEW_BUF, BUF, NEW_MAP, MAP, NEW_BOTH, DEVICE };

enum operand {
	OP_REGION,
	OP_PAGES,
	OP_OWNER,
	OP_C,
	OP_BY,
	OP_OFFSET,
	OP_LEN,
	OP_BYTES,
	OP_HEX,
	OP_PATTERN,
	OP_BUFFER,
	OP_DEVICE,
	OP_VIA,
	OP_RIGHTS,
	OP_IOVA,
	OP_TO,
	OP_AND_MAP,
	OP_AND_BUFFER,
	OP_DIRECTION,
	OP_ATTRS,
	OP_STATE,
	OP_VALID,
	OP_ASSIGNED,
	OP_FORMAT,
	OP_DEST,
	OP_VECTOR,
	OP_INDEX,
	OP_THROUGH,
	NR_OPERANDS,
};

static const char *const operand_names[NR_OPERANDS] = {
	[OP_REGION] = "region",
	[OP_PAGES] = "pages",
	[OP_OWNER] = "owner",
	[OP_C] = "c",
	[OP_BY] = "by",
	[OP_OFFSET] = "offset",
	[OP_LEN] = "len",
	[OP_BYTES] = "bytes",
	[OP_HEX] = "hex",
	[OP_PATTERN] = "pattern",
	[OP_BUFFER] = "buffer",
	[OP_DEVICE] = "device",
	[OP_VIA] = "via",
	[OP_RIGHTS] = "rights",
	[OP_IOVA] = "iova",
	[OP_TO] = "to",
	[OP_AND_MAP] = "and-map",
	[OP_AND_BUFFER] = "and-buffer",
	[OP_DIRECTION] = "direction",
	[OP_ATTRS] = "attrs",
	[OP_STATE] = "state",
	[OP_VALID] = "valid",
	[OP_ASSIGNED] = "assigned",
	[OP_FORMAT] = "format",
	[OP_DEST] = "dest",
	[OP_VECTOR] = "vector",
	[OP_INDEX] = "index",
	[OP_THROUGH] = "through",
};

#define B(x)  (1u << OP_##x)
#define RANGE (B(OFFSET) | B(LEN))
#define DATA  (B(BYTES) | B(HEX) | B(PATTERN))

static const struct verb {
	enum cbit_sim_op_kind kind;
	enum subject subject;
	unsigned int may;
	unsigned int must;
} verbs[] = {
	{ CBIT_SIM_ALLOC, NEW_BUF, B(REGION) | B(PAGES) | B(OWNER) | B(C), 0 },
	{ CBIT_SIM_FREE, BUF, 0, 0 },
	{ CBIT_SIM_WRITE, BUF, B(BY) | RANGE | DATA, 0 },
	{ CBIT_SIM_READ, BUF, B(BY) | RANGE, 0 },
	{ CBIT_SIM_CHECK, BUF, RANGE, 0 },
	{ CBIT_SIM_RAW, BUF, RANGE, 0 },
	{ CBIT_SIM_MAP, NEW_MAP,
	  B(BUFFER) | B(DEVICE) | B(VIA) | B(RIGHTS) | B(IOVA) | B(DIRECTION) | B(ATTRS) |
		  B(AND_MAP) | B(AND_BUFFER) | RANGE,
	  B(BUFFER) | B(DEVICE) },
	{ CBIT_SIM_COHERENT, NEW_BOTH, B(DEVICE) | B(PAGES), B(DEVICE) },
	{ CBIT_SIM_SYNC_CPU, MAP, RANGE, 0 },
	{ CBIT_SIM_SYNC_DEVICE, MAP, RANGE, 0 },
	{ CBIT_SIM_UNMAP, MAP, 0, 0 },
	{ CBIT_SIM_UNMAP_NO_FLUSH, MAP, 0, 0 },
	{ CBIT_SIM_FLUSH, MAP, 0, 0 },
	{ CBIT_SIM_DMA_READ, MAP, B(DEVICE) | RANGE, 0 },
	{ CBIT_SIM_DMA_WRITE, MAP, B(DEVICE) | RANGE | DATA, 0 },
	{ CBIT_SIM_SHARE, BUF, 0, 0 },
	{ CBIT_SIM_UNSHARE, BUF, 0, 0 },
	{ CBIT_SIM_SET_C, BUF, B(C), B(C) },
	{ CBIT_SIM_PAGE_STATE, BUF, B(STATE), B(STATE) },
	{ CBIT_SIM_PVALIDATE, BUF, B(VALID), B(VALID) },
	{ CBIT_SIM_RMPUPDATE, BUF, B(ASSIGNED), B(ASSIGNED) },
	{ CBIT_SIM_MSI, DEVICE, B(FORMAT) | B(DEST) | B(VECTOR) | B(INDEX) | B(THROUGH), B(DEST) },
	{ CBIT_SIM_DMA_COPY, MAP, B(TO) | B(DEVICE) | RANGE, B(TO) },
};

_Static_assert(CBIT_SIM_MAPS <= CBIT_SIM_BUFS, "look_up() has room for either");

/* The index of a name in a list; a new one is added when @add. */
static int look_up(struct scn_read *r, const yaml_node_t *node, const char *what,
		   char names[][CBIT_SIM_NAME], unsigned int *count, unsigned int max, bool add,
		   unsigned int *out)
{
	const char *list[CBIT_SIM_BUFS];
	char name[CBIT_SIM_NAME];

	if (scn_name(r, node, what, name))
		return -EINVAL;
	for (unsigned int i = 0; i < *count; i++) {
		list[i] = names[i];
		if (!strcmp(names[i], name)) {
			*out = i;
			return 0;
		}
	}
	if (!add)
		return yaml_error_word(&r->in, node, what, list, *count);
	if (*count == max)
		return yaml_error(&r->in, node, "%s: more than %u", what, max);
	memcpy(names[*count], name, sizeof(name));
	*out = (*count)++;
	return 0;
}

static int buf_named(struct scn_read *r, const yaml_node_t *node, bool add, unsigned int *out)
{
	return look_up(r, node, "a buffer", r->buf_name, &r->nr_bufs, CBIT_SIM_BUFS, add, out);
}

static int map_named(struct scn_read *r, const yaml_node_t *node, bool add, unsigned int *out)
{
	return look_up(r, node, "a mapping", r->map_name, &r->nr_maps, CBIT_SIM_MAPS, add, out);
}

static int device_named(struct scn_read *r, const yaml_node_t *node, unsigned int *out)
{
	const struct cbit_sim_config *cfg = &r->scn->cfg;
	const char *list[CBIT_SIM_DEVICES];

	for (unsigned int i = 0; i < cfg->nr_devices; i++)
		list[i] = cfg->devices[i].name;
	return yaml_word(&r->in, node, "a device", list, cfg->nr_devices, out);
}

/* Regions, then the BARs in the order of their devices, as in struct cbit_sim. */
static int region_named(struct scn_read *r, const yaml_node_t *node, unsigned int *out)
{
	const struct cbit_sim_config *cfg = &r->scn->cfg;
	const char *list[CBIT_SIM_REGIONS + CBIT_SIM_DEVICES];
	char bars[CBIT_SIM_DEVICES][CBIT_SIM_NAME + 4];
	unsigned int n = 0;

	for (unsigned int i = 0; i < cfg->nr_regions; i++)
		list[n++] = cfg->regions[i].name;
	for (unsigned int i = 0; i < cfg->nr_devices; i++) {
		if (!cfg->devices[i].bar)
			continue;
		snprintf(bars[i], sizeof(bars[i]), "%s.bar", cfg->devices[i].name);
		list[n++] = bars[i];
	}
	return yaml_word(&r->in, node, "a region", list, n, out);
}

static int read_data(struct scn_read *r, const yaml_node_t *map, struct scn_step *step)
{
	const yaml_node_t *bytes = yaml_get(&r->in, map, "bytes");
	const yaml_node_t *hex = yaml_get(&r->in, map, "hex");
	const yaml_node_t *pattern = yaml_get(&r->in, map, "pattern");
	uint64_t seed = 1;
	const char *text;
	size_t len = 0;
	int ret = 0;

	if ((bytes != NULL) + (hex != NULL) + (pattern != NULL) > 1)
		return yaml_error(&r->in, map, "bytes, hex and pattern exclude each other");
	if (pattern || (!bytes && !hex)) {
		ret = yaml_number(&r->in, pattern, "pattern", 255, &seed);
		step->op.seed = (uint8_t)seed;
		return ret;
	}
	step->data = calloc(1, SCN_DATA);
	if (!step->data)
		return -ENOMEM;
	if (hex) {
		ret = yaml_hex(&r->in, hex, "hex", step->data, SCN_DATA, &len);
	} else {
		text = yaml_text(&r->in, bytes, "bytes");
		len = text ? strlen(text) : 0;
		if (text && len > SCN_DATA)
			return yaml_error(&r->in, bytes, "bytes: more than %d", SCN_DATA);
		if (text)
			memcpy(step->data, text, len);
		else
			ret = -EINVAL;
	}
	if (!ret && !len)
		ret = yaml_error(&r->in, bytes ? bytes : hex, "there are no bytes");
	step->op.data = step->data;
	step->op.len = len;
	return ret;
}

/* A list of DMA_ATTR_*. */
static int read_attrs(struct scn_read *r, const yaml_node_t *list, unsigned int *out)
{
	static const char *const names[] = { "mmio", "cc-shared", "skip-cpu-sync",
					     "require-coherent" };
	unsigned int bit = 0;
	yaml_node_t *item;

	if (!yaml_is_list(list))
		return yaml_error(&r->in, list, "attrs: a list such as [mmio]");
	for (unsigned int i = 0; (item = yaml_item(&r->in, list, i)); i++) {
		if (yaml_word(&r->in, item, "an attribute of a mapping", names, COUNT(names), &bit))
			return -EINVAL;
		*out |= 1u << bit;
	}
	return 0;
}

_Static_assert(CBIT_DMA_ATTR_MMIO == 1 && CBIT_DMA_ATTR_CC_SHARED == 2 &&
		       CBIT_DMA_ATTR_SKIP_CPU_SYNC == 4 && CBIT_DMA_ATTR_REQUIRE_COHERENT == 8,
	       "attrs: in this order");

/* Operands of page states and interrupts. */
static int read_state(struct scn_read *r, const yaml_node_t *map, struct cbit_sim_op *op)
{
	static const char *const states[] = { "private", "shared" };
	static const char *const formats[] = { "compatibility", "ext-dest-id", "remapped" };
	struct yaml_in *in = &r->in;
	unsigned int word = 0;
	uint64_t dest = 0, vector = 0x30, index = 0, through = 0;
	int ret;

	ret = yaml_word(in, yaml_get(in, map, "state"), "a state of a page", states, 2, &word);
	if (yaml_get(in, map, "state"))
		op->on = word;
	if (!ret)
		ret = yaml_bool(in, yaml_get(in, map, "valid"), "valid", &op->on);
	if (!ret)
		ret = yaml_bool(in, yaml_get(in, map, "assigned"), "assigned", &op->on);
	word = 0;
	if (!ret)
		ret = yaml_word(in, yaml_get(in, map, "format"), "a format of messages", formats, 3,
				&word);
	op->format = (enum cbit_msi_format)word;
	if (!ret)
		ret = yaml_number(in, yaml_get(in, map, "dest"), "dest", UINT32_MAX - 1, &dest);
	if (!ret)
		ret = yaml_number(in, yaml_get(in, map, "vector"), "vector", 255, &vector);
	if (!ret)
		ret = yaml_number(in, yaml_get(in, map, "index"), "index", 2047, &index);
	if (!ret)
		ret = yaml_number(in, yaml_get(in, map, "through"), "through", UINT32_MAX - 1,
				  &through);
	op->dest = (uint32_t)dest;
	op->through = (uint32_t)through;
	op->vector = (uint8_t)vector;
	op->index = (uint32_t)index;
	return ret;
}

static int read_operands(struct scn_read *r, const yaml_node_t *map, const struct verb *verb,
			 struct scn_step *step)
{
	static const char *const owners[] = { "host", "guest" };
	static const char *const c_words[] = { "set", "clear" };
	static const char *const rights[] = { "r", "w", "rw" };
	static const char *const directions[] = { "bidirectional", "to-device", "from-device" };
	const char *who[CBIT_SIM_NR_WHO], *via[CBIT_SIM_NR_MAPPERS];
	struct yaml_in *in = &r->in;
	struct cbit_sim_op *op = &step->op;
	unsigned int word = 0, right = 2;
	uint64_t n = 1;
	int ret;

	for (unsigned int i = 0; i < CBIT_SIM_NR_WHO; i++)
		who[i] = cbit_sim_who_name((enum cbit_sim_who)i);
	for (unsigned int i = 0; i < CBIT_SIM_NR_MAPPERS; i++)
		via[i] = cbit_sim_mapper_name((enum cbit_sim_mapper)i);
	/* 0: all of it */
	op->len = verb->kind == CBIT_SIM_MAP || verb->kind == CBIT_SIM_SYNC_CPU ||
				  verb->kind == CBIT_SIM_SYNC_DEVICE
			  ? 0
			  : 64;
	ret = region_named(r, yaml_get(in, map, "region"), &op->region);
	if (!ret)
		ret = yaml_number(in, yaml_get(in, map, "pages"), "pages", 4096, &n);
	op->pages = (unsigned int)n;
	if (!ret)
		ret = yaml_word(in, yaml_get(in, map, "owner"), "an owner", owners, 2, &word);
	op->guest = word;
	word = 0;
	if (!ret)
		ret = yaml_word(in, yaml_get(in, map, "c"), "a state of the C-bit", c_words, 2,
				&word);
	op->c_clear = word;
	op->on = verb->kind == CBIT_SIM_SET_C && !word;
	word = 0;
	if (!ret)
		ret = yaml_word(in, yaml_get(in, map, "by"), "who can access memory", who,
				CBIT_SIM_NR_WHO, &word);
	op->who = (enum cbit_sim_who)word;
	if (!ret && verb->may & B(BYTES))
		ret = read_data(r, map, step);
	if (!ret)
		ret = yaml_number(in, yaml_get(in, map, "offset"), "offset", 1 << 24, &op->offset);
	if (!ret)
		ret = yaml_number(in, yaml_get(in, map, "len"), "len", op->data ? op->len : 1 << 24,
				  &op->len);
	word = 0;
	if (!ret)
		ret = yaml_word(in, yaml_get(in, map, "via"), "a mapper", via, CBIT_SIM_NR_MAPPERS,
				&word);
	op->mapper = (enum cbit_sim_mapper)word;
	if (!ret)
		ret = yaml_word(in, yaml_get(in, map, "rights"), "rights", rights, 3, &right);
	op->rights = right + 1;
	if (!ret)
		ret = yaml_number(in, yaml_get(in, map, "iova"), "iova", UINT64_MAX, &op->iova.v);
	word = 0;
	if (!ret)
		ret = yaml_word(in, yaml_get(in, map, "direction"), "a direction", directions, 3,
				&word);
	op->dir = (enum cbit_dma_dir)word;
	if (!ret && yaml_get(in, map, "attrs"))
		ret = read_attrs(r, yaml_get(in, map, "attrs"), &op->attrs);
	if (!ret && yaml_get(in, map, "buffer"))
		ret = buf_named(r, yaml_get(in, map, "buffer"), false, &op->buf);
	if (!ret && yaml_get(in, map, "and-buffer")) {
		op->both = true;
		ret = buf_named(r, yaml_get(in, map, "and-buffer"), false, &op->buf2);
	}
	if (!ret && yaml_get(in, map, "to"))
		ret = map_named(r, yaml_get(in, map, "to"), false, &op->map2);
	if (!ret && verb->kind >= CBIT_SIM_PAGE_STATE)
		ret = read_state(r, map, op);
	return ret ? ret : device_named(r, yaml_get(in, map, "device"), &op->dev);
}

_Static_assert(CBIT_ATTR_READ == 1 && CBIT_ATTR_WRITE == 2, "rights: r, w, rw in this order");

static int read_subject(struct scn_read *r, const yaml_node_t *map, const yaml_node_t *node,
			const struct verb *verb, struct scn_step *step)
{
	bool has_device = yaml_get(&r->in, map, "device") != NULL;
	struct cbit_sim_op *op = &step->op;
	int ret;

	switch (verb->subject) {
	case NEW_BUF:
	case BUF:
		return buf_named(r, node, verb->subject == NEW_BUF, &op->buf);
	case DEVICE:
		return device_named(r, node, &op->dev);
	case NEW_BOTH:
		ret = buf_named(r, node, true, &op->buf);
		if (ret)
			return ret;
		/* fallthrough */
	case NEW_MAP:
		ret = map_named(r, node, true, &op->map);
		if (!ret)
			r->map_dev[op->map] = op->dev;
		if (!ret && op->both) {
			ret = map_named(r, yaml_get(&r->in, map, "and-map"), true, &op->map2);
			if (!ret)
				r->map_dev[op->map2] = op->dev;
		}
		return ret;
	default:
		ret = map_named(r, node, false, &op->map);
		if (!ret && !has_device)
			op->dev = r->map_dev[op->map];
		return ret;
	}
}

/* The verb is that key which is no operand. */
static const struct verb *find_verb(struct scn_read *r, const yaml_node_t *map, yaml_node_t **value)
{
	const char *words[COUNT(verbs)];
	const struct verb *found = NULL;
	yaml_node_t *key, *v;

	for (size_t i = 0; i < COUNT(verbs); i++)
		words[i] = cbit_sim_op_name(verbs[i].kind);
	if (!yaml_is_map(map)) {
		yaml_error(&r->in, map, "a step is 'OPERATION: NAME' and its operands");
		return NULL;
	}
	if (!yaml_pair(&r->in, map, 0, &key, &v)) {
		yaml_error(&r->in, map, "an empty step");
		return NULL;
	}
	for (size_t i = 0; i < COUNT(verbs) && !found; i++) {
		const char *text = yaml_text(&r->in, key, "a step");

		if (!text)
			return NULL;
		if (!strcmp(text, words[i]))
			found = &verbs[i];
	}
	if (!found)
		yaml_error_word(&r->in, key, "an operation (a step begins with one)", words,
				COUNT(words));
	*value = v;
	return found;
}

static int read_under(struct scn_read *r, const yaml_node_t *node, struct scn_step *step)
{
	const struct cbit_scenario *scn = r->scn;
	const char *names[SCN_POLICIES];
	yaml_node_t *key, *value;
	unsigned int index = 0;
	int ret;

	if (!node)
		return 0;
	for (unsigned int i = 0; i < scn->nr_policies; i++)
		names[i] = cbit_policy_name(scn->policies[i]);
	ret = yaml_check_keys(&r->in, node, "under (the scenario's policies)", names,
			      scn->nr_policies);
	for (unsigned int i = 0; !ret && yaml_pair(&r->in, node, i, &key, &value); i++) {
		ret = yaml_word(&r->in, key, "a policy of this scenario", names, scn->nr_policies,
				&index);
		if (ret)
			return ret;
		step->under[step->nr_under] = calloc(1, sizeof(**step->under));
		if (!step->under[step->nr_under])
			return -ENOMEM;
		step->policy[step->nr_under] = scn->policies[index];
		ret = scn_read_expect(r, value, step->under[step->nr_under++]);
	}
	return ret;
}

/* In words, for terminals too: bytes may be anything. */
static char *tell(struct scn_read *r, const yaml_node_t *map)
{
	yaml_node_t *key, *value;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (unsigned int i = 0; yaml_pair(&r->in, map, i, &key, &value); i++) {
		const char *k = (const char *)key->data.scalar.value;

		if (value->type != YAML_SCALAR_NODE)
			continue;
		fprintf(out, "%s%s %s", i ? ", " : "", k, (const char *)value->data.scalar.value);
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	for (char *p = text; *p; p++) {
		if (iscntrl((unsigned char)*p))
			*p = '?';
	}
	return text;
}

/* What only one kind of mapper takes is not passed over in silence by another. */
static int check_mapper(struct scn_read *r, const yaml_node_t *map, const struct cbit_sim_op *op)
{
	static const struct {
		enum operand operand;
		bool by_api; /* the DMA API alone; else all but it */
	} some[] = { { OP_OFFSET, true },  { OP_LEN, true },     { OP_DIRECTION, true },
		     { OP_ATTRS, true },   { OP_RIGHTS, false }, { OP_IOVA, false },
		     { OP_AND_MAP, false } };
	const yaml_node_t *node;

	for (size_t i = 0; i < COUNT(some); i++) {
		const char *name = operand_names[some[i].operand];

		node = yaml_get(&r->in, map, name);
		if (node && some[i].by_api != (op->mapper == CBIT_SIM_DMA))
			return yaml_error(&r->in, node, "%s: %s has no such thing", name,
					  cbit_sim_mapper_name(op->mapper));
	}
	node = yaml_get(&r->in, map, operand_names[OP_AND_MAP]);
	if (node && op->mapper != CBIT_SIM_TYPE1)
		return yaml_error(&r->in, node, "and-map: a call of type1's only");
	node = yaml_get(&r->in, map, operand_names[OP_IOVA]);
	return node && !op->iova.v
		       ? yaml_error(&r->in, node, "iova: not 0, which is for none given")
		       : 0;
}

/* Operands that depend on other ones. */
static int check_operands(struct scn_read *r, const yaml_node_t *map, const struct cbit_sim_op *op)
{
	const yaml_node_t *c = yaml_get(&r->in, map, operand_names[OP_C]);
	const yaml_node_t *index = yaml_get(&r->in, map, operand_names[OP_INDEX]);

	if (!yaml_get(&r->in, map, "and-map") != !yaml_get(&r->in, map, "and-buffer"))
		return yaml_error(&r->in, map, "and-map and and-buffer go together");
	if (op->kind == CBIT_SIM_ALLOC && op->guest && c)
		return yaml_error(&r->in, c,
				  "c: of the host's mapping; for a guest's there is set-c");
	if (op->kind == CBIT_SIM_MSI && index && op->format != CBIT_MSI_FORMAT_REMAPPED)
		return yaml_error(&r->in, index, "index: only a remapped message has one");
	return op->kind == CBIT_SIM_MAP ? check_mapper(r, map, op) : 0;
}

static int read_step(struct scn_read *r, const yaml_node_t *map, struct scn_step *step)
{
	const char *legal[NR_OPERANDS + 3];
	const struct verb *verb;
	yaml_node_t *subject;
	size_t n = 0;
	int ret;

	verb = find_verb(r, map, &subject);
	if (!verb)
		return -EINVAL;
	step->op.kind = verb->kind;
	legal[n++] = cbit_sim_op_name(verb->kind);
	for (unsigned int i = 0; i < NR_OPERANDS; i++) {
		if (verb->may & 1u << i)
			legal[n++] = operand_names[i];
	}
	legal[n++] = "expect";
	legal[n++] = "under";
	ret = yaml_check_keys(&r->in, map, legal[0], legal, n);
	for (unsigned int i = 0; !ret && i < NR_OPERANDS; i++) {
		if (verb->must & 1u << i && !yaml_get(&r->in, map, operand_names[i]))
			ret = yaml_error(&r->in, map, "%s: '%s' is missing", legal[0],
					 operand_names[i]);
	}
	if (!ret)
		ret = read_operands(r, map, verb, step);
	if (!ret)
		ret = check_operands(r, map, &step->op);
	if (!ret)
		ret = read_subject(r, map, subject, verb, step);
	if (!ret && yaml_get(&r->in, map, "expect"))
		ret = scn_read_expect(r, yaml_get(&r->in, map, "expect"), &step->expect);
	if (!ret)
		ret = read_under(r, yaml_get(&r->in, map, "under"), step);
	if (!ret)
		step->text = tell(r, map);
	return ret ? ret : step->text ? 0 : -ENOMEM;
}

int scn_read_steps(struct scn_read *r, const yaml_node_t *list)
{
	struct cbit_scenario *scn = r->scn;
	yaml_node_t *item;
	int ret = 0;

	scn->steps = calloc(SCN_STEPS, sizeof(*scn->steps));
	if (!scn->steps)
		return -ENOMEM;
	for (unsigned int i = 0; !ret && (item = yaml_item(&r->in, list, i)); i++) {
		if (i == SCN_STEPS)
			return yaml_error(&r->in, item, "more than %d steps", SCN_STEPS);
		scn->steps[i].number = i + 1;
		scn->steps[i].line = (unsigned int)item->start_mark.line + 1;
		scn->nr_steps++;
		ret = read_step(r, item, &scn->steps[i]);
	}
	if (!ret && !scn->nr_steps)
		ret = yaml_error(&r->in, list, "steps: there are none");
	return ret;
}
