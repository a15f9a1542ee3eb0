#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "text.h"

/* capabilities(7). permitted == ambient: otherwise exec would count as a gain of privilege and clear PR_SET_PDEATHSIG */
static bool keep_bind(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {0};
    const uint32_t bind = 1U << CAP_NET_BIND_SERVICE;
    data[0].permitted = bind;
    data[0].effective = bind;
    data[0].inheritable = bind;
    return syscall(SYS_capset, &header, data) == 0 &&
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) == 0;
}

static bool drop_all(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    const struct __user_cap_data_struct none[2] = {0};
    return syscall(SYS_capset, &header, none) == 0;
}

bool lark__privileges_become(struct lark_arena *arena, uid_t user, const char **out_name)
{
    const struct passwd *entry = getpwuid(user);
    if (entry == NULL) {
        lark__cli_say("the state folder's owner, user %u, has no name on this machine", (unsigned)user);
        return false;
    }
    const char *name = lark__cli_format(arena, "%s", entry->pw_name);
    const gid_t group = entry->pw_gid;
    if (prctl(PR_SET_KEEPCAPS, 1UL) != 0 || initgroups(name, group) != 0 || setresgid(group, group, group) != 0 ||
        setresuid(user, user, user) != 0) {
        lark__cli_say("cannot become %s, the state folder's owner: %s", name, strerror(errno));
        return false;
    }
    /* a container may not have the capability to give: ports from 1024 on do without */
    if (!keep_bind() && !drop_all()) {
        lark__cli_say("cannot give up root's capabilities: %s", strerror(errno));
        return false;
    }
    if (setuid(0) == 0) {
        lark__cli_say("cannot give up root's powers");
        return false;
    }
    *out_name = name;
    return true;
}
