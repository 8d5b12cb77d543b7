/* The cameras of benchmarks/fleet, as light as they can be: one epoll loop that sleeps while nothing
 * comes, a few hundred bytes a camera, and frames with the mask 0 (which RFC 6455 allows, and which
 * costs whoever unmasks as much as any other).
 *
 * fleet_load ws|mqtt PORT CAMERAS ANSWER TOKEN
 *
 * Connects all of them, 256 at the same time, prints "ready SECONDS", and then "orders TOTAL" each
 * time that all have got one more order. With ANSWER 1 each is answered with one real `shot`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 256, ROOM = 1024, EVENTS = 512 };
enum state { OPENING, SHAKING, GREETING, READY };

struct camera {
    int fd;
    enum state state;
    int have;
    unsigned char in[ROOM];
};

static struct camera *cameras;
static int total, begun, ready, answers, is_mqtt, port, loop;
static long orders;
static const char *token;
static double began;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void put(struct camera *camera, const void *data, int size) {
    if (send(camera->fd, data, size, MSG_NOSIGNAL) != size) fail("send");
}

/* A masked text frame of up to 65,535 bytes. */
static void put_text(struct camera *camera, const char *text, int size) {
    unsigned char frame[ROOM + 8] = {0x81};
    int head = 2;
    if (size < 126) {
        frame[1] = 0x80 | size;
    } else {
        frame[1] = 0x80 | 126, frame[2] = size >> 8, frame[3] = size & 255;
        head = 4;
    }
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, text, size);
    put(camera, frame, head + 4 + size);
}

static void put_mqtt(struct camera *camera, int type, const void *body, int size) {
    unsigned char packet[ROOM + 8] = {type};
    int head = 1;
    for (int left = size;; ) {
        int digit = left & 127;
        left >>= 7;
        packet[head++] = digit | (left ? 128 : 0);
        if (!left) break;
    }
    memcpy(packet + head, body, size);
    put(camera, packet, head + size);
}

static int put_string(unsigned char *to, const char *text) {
    int size = strlen(text);
    to[0] = size >> 8, to[1] = size & 255;
    memcpy(to + 2, text, size);
    return size + 2;
}

static int number_of(struct camera *camera) { return (int)(camera - cameras); }

static int shot(struct camera *camera, const char *id, char *to) {
    return snprintf(to, ROOM,
                    "{\"type\":\"shot\",\"snap\":\"%s\",\"camera\":\"load-%05d\",\"state\":"
                    "\"captured\",\"camera_ms\":{\"total\":12.5},\"freshness\":\"proven\"}",
                    id, number_of(camera));
}

static void open_one(void) {
    struct camera *camera = &cameras[begun++];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    camera->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    setsockopt(camera->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(camera->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        fail("connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = camera};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, camera->fd, &event)) fail("epoll_ctl");
}

static void opened(struct camera *camera) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = camera};
    epoll_ctl(loop, EPOLL_CTL_MOD, camera->fd, &event);
    camera->state = SHAKING;
    if (is_mqtt) {
        unsigned char body[128];
        char name[32];
        memcpy(body, "\0\4MQTT\4\2\0\0", 10); /* 3.1.1, a clean session, no keepalive */
        snprintf(name, sizeof name, "load-%05d", number_of(camera));
        put_mqtt(camera, 0x10, body, 10 + put_string(body + 10, name));
        return;
    }
    char request[512];
    int size = snprintf(request, sizeof request,
                        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                        "Sec-WebSocket-Version: 13\r\nAuthorization: Bearer %s\r\n\r\n",
                        port, token);
    put(camera, request, size);
}

static void is_ready(struct camera *camera) {
    camera->state = READY;
    if (++ready == total) {
        printf("ready %.3f\n", now() - began);
        fflush(stdout);
    } else if (begun < total) {
        open_one();
    }
}

static void ordered(struct camera *camera, const char *text, int size) {
    char report[ROOM], id[80] = "none";
    const char *at = memmem(text, size, "\"id\":\"", 6);
    if (at) {
        const char *end = memchr(at + 6, '"', size - (at + 6 - text));
        if (end && end - at - 6 < (long)sizeof id) {
            memcpy(id, at + 6, end - at - 6);
            id[end - at - 6] = 0;
        }
    }
    if (answers) {
        int length = shot(camera, id, report);
        if (is_mqtt) {
            unsigned char body[ROOM];
            int head = put_string(body, "shots");
            memcpy(body + head, report, length);
            put_mqtt(camera, 0x30, body, head + length);
        } else {
            put_text(camera, report, length);
        }
    }
    if (++orders % total == 0) {
        printf("orders %ld\n", orders);
        fflush(stdout);
    }
}

/* Takes one packet out of what came; returns its size, or 0 when it is not whole. */
static int take_mqtt(struct camera *camera) {
    int size = 0, head = 1;
    for (int shift = 0;; shift += 7) {
        if (head >= camera->have) return 0;
        int digit = camera->in[head++];
        size |= (digit & 127) << shift;
        if (!(digit & 128)) break;
    }
    if (camera->have < head + size) return 0;
    switch (camera->in[0] >> 4) {
    case 2: { /* CONNACK: subscribe to what all hear, and to what only this one does */
        unsigned char body[128] = {0, 1};
        char own[32];
        snprintf(own, sizeof own, "snap/load-%05d", number_of(camera));
        int at = 2 + put_string(body + 2, "snap");
        body[at++] = 0;
        at += put_string(body + at, own);
        body[at++] = 0;
        put_mqtt(camera, 0x82, body, at);
        break;
    }
    case 9: /* SUBACK */
        is_ready(camera);
        break;
    case 3: { /* PUBLISH */
        unsigned char *body = camera->in + head;
        int topic = body[0] << 8 | body[1];
        ordered(camera, (char *)body + 2 + topic, size - 2 - topic);
    }
    }
    return head + size;
}

static int take_frame(struct camera *camera) {
    unsigned char *in = camera->in;
    int head = 2, size;
    if (camera->state == SHAKING) {
        unsigned char *end = memmem(in, camera->have, "\r\n\r\n", 4);
        if (!end) return 0;
        if (memcmp(in, "HTTP/1.1 101", 12)) {
            fprintf(stderr, "refused: %.*s\n", camera->have, in);
            exit(1);
        }
        char hello[256];
        int length = snprintf(hello, sizeof hello,
                              "{\"type\":\"hello\",\"role\":\"camera\",\"instance\":\"load-%d\","
                              "\"agent\":\"C\",\"cameras\":[{\"name\":\"load-%05d\"}]}",
                              number_of(camera), number_of(camera));
        camera->state = GREETING;
        put_text(camera, hello, length);
        return (int)(end + 4 - in);
    }
    if (camera->have < 2) return 0;
    size = in[1] & 127;
    if (size == 126) {
        if (camera->have < 4) return 0;
        size = in[2] << 8 | in[3], head = 4;
    }
    if (camera->have < head + size) return 0;
    if ((in[0] & 15) == 9) {
        unsigned char pong[6] = {0x8a, 0x80};
        put(camera, pong, 6);
    } else if ((in[0] & 15) == 8) {
        fprintf(stderr, "closed by the hub\n");
        exit(1);
    } else if (camera->state == GREETING) {
        is_ready(camera);
    } else {
        ordered(camera, (char *)in + head, size);
    }
    return head + size;
}

static void readable(struct camera *camera) {
    int got = recv(camera->fd, camera->in + camera->have, ROOM - camera->have, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        fprintf(stderr, "camera %d was cut off\n", number_of(camera));
        exit(1);
    }
    camera->have += got;
    for (int took; camera->have && (took = is_mqtt ? take_mqtt(camera) : take_frame(camera));) {
        camera->have -= took;
        memmove(camera->in, camera->in + took, camera->have);
    }
}

int main(int count, char **given) {
    if (count != 6) return 2;
    is_mqtt = !strcmp(given[1], "mqtt");
    port = atoi(given[2]), total = atoi(given[3]), answers = atoi(given[4]), token = given[5];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    cameras = calloc(total, sizeof *cameras);
    loop = epoll_create1(0);
    began = now();
    while (begun < total && begun < AT_ONCE) open_one();
    for (;;) {
        struct epoll_event events[EVENTS];
        int found = epoll_wait(loop, events, EVENTS, -1);
        for (int each = 0; each < found; each++) {
            struct camera *camera = events[each].data.ptr;
            if (camera->state == OPENING) opened(camera);
            else readable(camera);
        }
    }
}
