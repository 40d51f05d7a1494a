// What a block of header lines may be, whoever wrote it. Source: RFC 9110 §5.5, RFC 9112 §5.

/** Lines of token, colon and value, each with its CRLF: no folding, no bare CR, LF or NUL. No part can match in two ways, so it is linear. */
export const FIELD_LINES = /^(?:[\w!#$%&'*+.^`|~-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/;
