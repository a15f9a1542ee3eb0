/* lark_banned.h - functions that hide a length, a locale or a static buffer become errors. */
#ifndef LARK_BANNED_H
#define LARK_BANNED_H

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol gmtime localtime

#endif
