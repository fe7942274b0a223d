/*
 * LXD 5.0.2 asks whether a file system takes an id-mapped mount (`shift=true`) by trying one with a user namespace
 * that maps nothing. Newer kernels refuse such a namespace for that reason alone, and LXD concludes that nothing on the
 * machine can be shifted. The mounts that it makes afterwards use real mappings and work.
 *
 * Preloaded into the daemon, this repeats the question with one mapping. Built with -DTEST it is a program that
 * succeeds when the kernel needs no such help.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int pause_child(void *unused)
{
	(void)unused;
	pause();
	return 0;
}

static int write_file(int pid, const char *name, const char *text)
{
	char path[64];
	int fd, wrote;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	wrote = write(fd, text, strlen(text));
	close(fd);
	return wrote < 0 ? -1 : 0;
}

/* A user namespace that maps 0 to 100000, or nothing. */
static int make_userns(int mapped)
{
	static char stack[16384] __attribute__((aligned(16)));
	char path[64];
	int fd = -1, pid;

	pid = clone(pause_child, stack + sizeof(stack), CLONE_NEWUSER | SIGCHLD, NULL);
	if (pid < 0)
		return -1;
	if (!mapped || (!write_file(pid, "uid_map", "0 100000 65536\n") && !write_file(pid, "gid_map", "0 100000 65536\n"))) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

#ifdef TEST

int main(int argc, char **argv)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};
	int tree = syscall(__NR_open_tree, AT_FDCWD, argc > 1 ? argv[1] : "/tmp", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	attr.userns_fd = make_userns(0);
	return tree < 0 || syscall(__NR_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0;
}

#else

static int maps_nothing(int userns)
{
	char text[64];
	int status, fd, pid = fork();

	if (pid < 0)
		return 0;
	if (pid == 0) {
		if (setns(userns, CLONE_NEWUSER))
			_exit(2);
		fd = open("/proc/self/uid_map", O_RDONLY);
		_exit(fd >= 0 && read(fd, text, sizeof(text)) == 0 ? 0 : 1);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6], result;
	struct mount_attr attr;
	va_list list;
	int i;

	va_start(list, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	result = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (number != __NR_mount_setattr || result == 0 || errno != EINVAL || (size_t)a[4] < sizeof(attr))
		return result;
	memcpy(&attr, (void *)a[3], sizeof(attr));
	if (!(attr.attr_set & MOUNT_ATTR_IDMAP) || !maps_nothing((int)attr.userns_fd)) {
		errno = EINVAL;
		return result;
	}
	attr.userns_fd = make_userns(1);
	if ((int)attr.userns_fd < 0) {
		errno = EINVAL;
		return result;
	}
	result = real(number, a[0], a[1], a[2], &attr, sizeof(attr), 0L);
	i = errno;
	close((int)attr.userns_fd);
	errno = i;
	return result;
}

#endif
