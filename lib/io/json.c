/* json.c: the part of JSON that safetensors headers use, and text that grows.
 *
 * The reader is a cursor that its caller drives, so nesting is bounded by the caller's code and
 * nothing recurses. The text was checked to be UTF-8 beforehand. Strings are decoded in place: an
 * escape is never shorter than what it stands for, and the closing quote makes room for a zero.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

static mascon_status wrong(const masconI_json *j, const char *expected) {
    if (j->at >= j->size) {
        return masconI_io_fail(MASCON_E_FORMAT, j->path, j->base + j->at,
                               "header: %s expected, the header ends", expected);
    }
    char quote[MASCON_IO_QUOTE];
    uint64_t left = j->size - j->at;
    masconI_quote(quote, j->text + j->at, left < 12 ? left : 12);
    return masconI_io_fail(MASCON_E_FORMAT, j->path, j->base + j->at,
                           "header: %s expected, found %s", expected, quote);
}

int masconI_json_peek(masconI_json *j) {
    while (j->at < j->size) {
        unsigned char c = j->text[j->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return c;
        j->at++;
    }
    return 0;
}

mascon_status masconI_json_take(masconI_json *j, char expected) {
    char name[4] = {'\'', expected, '\'', 0};
    if (masconI_json_peek(j) != (unsigned char)expected) return wrong(j, name);
    j->at++;
    return MASCON_OK;
}

mascon_status masconI_json_more(masconI_json *j, char closing, int *more) {
    int c = masconI_json_peek(j);
    if (c != ',' && c != (unsigned char)closing) {
        return wrong(j, closing == '}' ? "',' or '}'" : "',' or ']'");
    }
    j->at++;
    *more = c == ',';
    return MASCON_OK;
}

/* Four hexadecimal digits at p; -1 where they are not. */
static int32_t hex4(const unsigned char *p) {
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static unsigned char *put_utf8(unsigned char *to, int32_t c) {
    if (c < 0x80) {
        *to++ = (unsigned char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (unsigned char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        *to++ = (unsigned char)(0xe0 | c >> 12);
        *to++ = (unsigned char)(0x80 | (c >> 6 & 63));
    } else {
        *to++ = (unsigned char)(0xf0 | c >> 18);
        *to++ = (unsigned char)(0x80 | (c >> 12 & 63));
        *to++ = (unsigned char)(0x80 | (c >> 6 & 63));
    }
    *to++ = (unsigned char)(0x80 | (c & 63));
    return to;
}

/* The code point of the escape whose 'u' is at j->at; moves behind it. */
static mascon_status unicode_escape(masconI_json *j, int32_t *out) {
    int32_t c = j->size - j->at >= 5 ? hex4(j->text + j->at + 1) : -1;
    if (c < 0) return wrong(j, "four hexadecimal digits after \\u");
    if (c >= 0xd800 && c < 0xe000) {
        const unsigned char *p = j->text + j->at;
        int32_t low = -1;
        if (c < 0xdc00 && j->size - j->at >= 11 && p[5] == '\\' && p[6] == 'u') low = hex4(p + 7);
        if (low < 0xdc00 || low >= 0xe000) return wrong(j, "no lone surrogate");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        j->at += 6;
    }
    j->at += 5;
    *out = c;
    return MASCON_OK;
}

mascon_status masconI_json_string(masconI_json *j, const char **text, uint64_t *size) {
    if (masconI_json_peek(j) != '"') return wrong(j, "a string");
    unsigned char *start = j->text + ++j->at, *to = start;
    for (;;) {
        if (j->at >= j->size) return wrong(j, "'\"' at the end of a string");
        unsigned char c = j->text[j->at];
        if (c == '"') break;
        if (c < 0x20) return wrong(j, "no control character in a string");
        if (c != '\\') {
            *to++ = c;
            j->at++;
            continue;
        }
        j->at++;
        c = j->at < j->size ? j->text[j->at] : 0;
        if (c == 'u') {
            int32_t point = 0;
            MASCON_TRY(unicode_escape(j, &point));
            to = put_utf8(to, point);
            continue;
        }
        const char *from = "\"\\/bfnrt", *found = c ? strchr(from, c) : NULL;
        if (!found) return wrong(j, "one of \"\\/bfnrtu after a backslash");
        *to++ = (unsigned char)"\"\\/\b\f\n\r\t"[found - from];
        j->at++;
    }
    j->at++;
    *to = 0;
    *text = (const char *)start;
    *size = (uint64_t)(to - start);
    return MASCON_OK;
}

mascon_status masconI_json_number(masconI_json *j, uint64_t *out) {
    int c = masconI_json_peek(j);
    if (c < '0' || c > '9') return wrong(j, "a whole number from 0");
    uint64_t start = j->at, value = 0;
    for (; j->at < j->size && j->text[j->at] >= '0' && j->text[j->at] <= '9'; j->at++) {
        if (j->at > start && value == 0) return wrong(j, "no digit after a leading zero");
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(j->text[j->at] - '0'), &value) ||
            value > INT64_MAX) {
            return wrong(j, "a number below 2^63");
        }
    }
    if (j->at < j->size && strchr(".eE", j->text[j->at]) && j->text[j->at]) {
        return wrong(j, "a whole number without fraction or exponent");
    }
    *out = value;
    return MASCON_OK;
}

/* ---- Text that grows ---- */

void masconI_text_add(masconI_text *t, const void *data, uint64_t size) {
    if (t->failed || size > UINT64_MAX / 4) {
        t->failed = 1;
        return;
    }
    if (t->capacity - t->size <= size) {
        uint64_t capacity = (t->size + size + 64) * 2;
        char *grown = realloc(t->data, capacity);
        if (!grown) {
            t->failed = 1;
            return;
        }
        t->data = grown;
        t->capacity = capacity;
    }
    if (size) memcpy(t->data + t->size, data, size);
    t->size += size;
    t->data[t->size] = 0;
}

void masconI_text_format(masconI_text *t, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text) {
        t->failed = 1;
    } else {
        masconI_text_add(t, text, (uint64_t)n);
    }
}

void masconI_text_json(masconI_text *t, const void *text, uint64_t size) {
    const unsigned char *p = text;
    uint64_t plain = 0; /* start of what needs no escape and is not added yet */
    masconI_text_add(t, "\"", 1);
    for (uint64_t i = 0; i < size; i++) {
        if (p[i] >= 0x20 && p[i] != '"' && p[i] != '\\') continue;
        masconI_text_add(t, p + plain, i - plain);
        plain = i + 1;
        if (p[i] < 0x20) {
            masconI_text_format(t, "\\u%04x", p[i]);
        } else {
            masconI_text_add(t, (char[2]){'\\', (char)p[i]}, 2);
        }
    }
    masconI_text_add(t, p + plain, size - plain);
    masconI_text_add(t, "\"", 1);
}

void masconI_text_free(masconI_text *t) {
    free(t->data);
    *t = (masconI_text){0};
}
