/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * YAML with places; see yaml.h.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yaml.h"

static int message(struct yaml_in *in, const yaml_mark_t *mark, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
static int message(struct yaml_in *in, const yaml_mark_t *mark, const char *fmt, va_list ap)
{
	char *text = NULL;

	if (in->message)
		return -EINVAL;
	if (vasprintf(&text, fmt, ap) < 0)
		return -ENOMEM;
	/* words of the file are quoted, and a terminal may be what shows them */
	for (char *p = text; *p; p++) {
		if (iscntrl((unsigned char)*p))
			*p = '?';
	}
	if (asprintf(&in->message, "%s:%zu:%zu: %s", in->file, mark->line + 1, mark->column + 1,
		     text) < 0)
		in->message = NULL;
	free(text);
	return in->message ? -EINVAL : -ENOMEM;
}

int yaml_error(struct yaml_in *in, const yaml_node_t *at, const char *fmt, ...)
{
	static const yaml_mark_t start;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = message(in, at ? &at->start_mark : &start, fmt, ap);
	va_end(ap);
	return ret;
}

static int message_at(struct yaml_in *in, const yaml_mark_t *mark, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int message_at(struct yaml_in *in, const yaml_mark_t *mark, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = message(in, mark, fmt, ap);
	va_end(ap);
	return ret;
}

static int not_yaml(struct yaml_in *in, const yaml_parser_t *parser)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	return message_at(in, &parser->problem_mark, "not YAML: %s",
			  parser->problem ? parser->problem : "cannot be read");
}

/*
 * Files nest a handful of levels. The library's time grows with the square of them, so that a
 * megabyte of brackets would take it minutes: nothing below DEEPEST is given to it. Nor is a file
 * of several documents, or with something else behind the first: only that one would be read.
 */
#define DEEPEST 32

static int check_events(struct yaml_in *in, const char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_event_t event;
	unsigned int depth = 0, documents = 0;
	bool end = false;
	int ret = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (!ret && !end) {
		if (!yaml_parser_parse(&parser, &event)) {
			ret = not_yaml(in, &parser);
			break;
		}
		switch (event.type) {
		case YAML_DOCUMENT_START_EVENT:
			if (documents++)
				ret = message_at(in, &event.start_mark,
						 "a second document: a file is one");
			break;
		case YAML_SEQUENCE_START_EVENT:
		case YAML_MAPPING_START_EVENT:
			if (++depth > DEEPEST)
				ret = message_at(in, &event.start_mark,
						 "nested deeper than %d levels", DEEPEST);
			break;
		case YAML_SEQUENCE_END_EVENT:
		case YAML_MAPPING_END_EVENT:
			depth--;
			break;
		case YAML_STREAM_END_EVENT:
			end = true;
			break;
		default:
			break;
		}
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return ret;
}

int yaml_in_load(struct yaml_in *in, const char *file, const char *text, size_t len)
{
	yaml_parser_t parser;
	int ret;

	*in = (struct yaml_in){ .file = file };
	ret = check_events(in, text, len);
	if (ret)
		return ret;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (yaml_parser_load(&parser, &in->doc))
		in->loaded = true;
	else
		ret = not_yaml(in, &parser);
	yaml_parser_delete(&parser);
	return ret;
}

void yaml_in_free(struct yaml_in *in)
{
	if (in->loaded)
		yaml_document_delete(&in->doc);
	free(in->message);
	*in = (struct yaml_in){ 0 };
}

bool yaml_is_map(const yaml_node_t *node)
{
	return node && node->type == YAML_MAPPING_NODE;
}

bool yaml_is_list(const yaml_node_t *node)
{
	return node && node->type == YAML_SEQUENCE_NODE;
}

const char *yaml_text(struct yaml_in *in, const yaml_node_t *node, const char *what)
{
	const char *text;

	if (!node || node->type != YAML_SCALAR_NODE) {
		yaml_error(in, node, "%s: a single word or number is needed", what);
		return NULL;
	}
	text = (const char *)node->data.scalar.value;
	if (strlen(text) != node->data.scalar.length) {
		yaml_error(in, node, "%s: has a NUL character in it", what);
		return NULL;
	}
	return text;
}

int yaml_error_word(struct yaml_in *in, const yaml_node_t *at, const char *what,
		    const char *const *legal, size_t count)
{
	const char *text = yaml_text(in, at, what);
	char *list = NULL;
	size_t size;
	FILE *out;
	int ret;

	if (!text)
		return -EINVAL;
	out = open_memstream(&list, &size);
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s%s", i ? ", " : "", legal[i]);
	if (fclose(out)) {
		free(list);
		return -ENOMEM;
	}
	ret = yaml_error(in, at, "'%.80s' is not %s; %s%s", text, what,
			 count ? "one of: " : "there is none", list);
	free(list);
	return ret;
}

bool yaml_pair(struct yaml_in *in, const yaml_node_t *map, unsigned int index, yaml_node_t **key,
	       yaml_node_t **value)
{
	const yaml_node_pair_t *pair = map->data.mapping.pairs.start + index;

	if (pair >= map->data.mapping.pairs.top)
		return false;
	*key = yaml_document_get_node(&in->doc, pair->key);
	*value = yaml_document_get_node(&in->doc, pair->value);
	return true;
}

yaml_node_t *yaml_item(struct yaml_in *in, const yaml_node_t *list, unsigned int index)
{
	const yaml_node_item_t *item = list->data.sequence.items.start + index;

	if (item >= list->data.sequence.items.top)
		return NULL;
	return yaml_document_get_node(&in->doc, *item);
}

static bool is_text(const yaml_node_t *node, const char *text)
{
	return node && node->type == YAML_SCALAR_NODE &&
	       !strcmp((const char *)node->data.scalar.value, text);
}

yaml_node_t *yaml_get(struct yaml_in *in, const yaml_node_t *map, const char *key)
{
	yaml_node_t *k, *v;

	if (!yaml_is_map(map))
		return NULL;
	for (unsigned int i = 0; yaml_pair(in, map, i, &k, &v); i++) {
		if (is_text(k, key))
			return v;
	}
	return NULL;
}

int yaml_check_keys(struct yaml_in *in, const yaml_node_t *map, const char *what,
		    const char *const *legal, size_t count)
{
	yaml_node_t *key, *value, *other, *ignored;
	const char *text;
	char kind[80];
	size_t n;

	if (!yaml_is_map(map))
		return yaml_error(in, map, "%s: 'key: value' pairs are needed", what);
	for (unsigned int i = 0; yaml_pair(in, map, i, &key, &value); i++) {
		text = yaml_text(in, key, what);
		if (!text)
			return -EINVAL;
		for (n = 0; n < count && strcmp(text, legal[n]) != 0;)
			n++;
		if (n == count) {
			snprintf(kind, sizeof(kind), "a key of %s", what);
			return yaml_error_word(in, key, kind, legal, count);
		}
		for (unsigned int j = 0; j < i && yaml_pair(in, map, j, &other, &ignored); j++) {
			if (is_text(other, text))
				return yaml_error(in, key, "'%s' is there twice", text);
		}
	}
	return 0;
}

int yaml_word(struct yaml_in *in, const yaml_node_t *node, const char *what,
	      const char *const *legal, size_t count, unsigned int *out)
{
	const char *text;

	if (!node)
		return 0;
	text = yaml_text(in, node, what);
	if (!text)
		return -EINVAL;
	for (unsigned int i = 0; i < count; i++) {
		if (!strcmp(text, legal[i])) {
			*out = i;
			return 0;
		}
	}
	return yaml_error_word(in, node, what, legal, count);
}

int yaml_number(struct yaml_in *in, const yaml_node_t *node, const char *what, uint64_t max,
		uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *text, *unit;
	unsigned int shift = 0;
	uint64_t v;
	char *end;

	if (!node)
		return 0;
	text = yaml_text(in, node, what);
	if (!text)
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 0);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unsigned int)(unit - units + 1);
		end++;
	}
	if (*text < '0' || *text > '9' || *end || errno)
		return yaml_error(in, node,
				  "%s: '%.80s' is not a number such as 4096, 0x1000 or 4K", what,
				  text);
	if (v > max >> shift)
		return yaml_error(in, node, "%s: '%.80s' is above 0x%" PRIx64, what, text, max);
	*out = v << shift;
	return 0;
}

int yaml_bool(struct yaml_in *in, const yaml_node_t *node, const char *what, bool *out)
{
	static const char *const words[] = { "no", "yes" };
	unsigned int v = *out;
	int ret = yaml_word(in, node, what, words, 2, &v);

	*out = v;
	return ret;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int yaml_hex(struct yaml_in *in, const yaml_node_t *node, const char *what, uint8_t *out,
	     size_t max, size_t *len)
{
	const char *text, *p;
	size_t n = 0;

	if (!node)
		return 0;
	text = yaml_text(in, node, what);
	if (!text)
		return -EINVAL;
	for (p = text; *p; p += 2) {
		while (*p == ' ')
			p++;
		if (!*p)
			break;
		if (digit(p[0]) < 0 || digit(p[1]) < 0)
			return yaml_error(in, node,
					  "%s: '%.80s' is not pairs of hexadecimal digits", what,
					  text);
		if (n == max)
			return yaml_error(in, node, "%s: more than %zu bytes", what, max);
		out[n++] = (uint8_t)(digit(p[0]) << 4 | digit(p[1]));
	}
	*len = n;
	return 0;
}
