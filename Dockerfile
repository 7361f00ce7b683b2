# The build environment, one stage per port, and the build itself.
#
# scripts/container.py runs this with docker, podman or buildah and does everything that is asked of
# the caller here. By hand, with docker alone:
#
#   python3 scripts/sources.py --cache build/cache
#   docker build --build-arg PORT=rp2 --build-arg BOARDS=RPI_PICO --target outputs --output dist .
#
# Packages are named with their version: compilers, assemblers, linkers and C libraries decide the bytes of
# an image. Those that come along as dependencies are listed in /etc/coldframe/packages.

# scripts/container.py gives the digest from sources.toml here wherever a registry answers.
ARG BASE=debian:trixie-slim
# Which stage the build runs on; scripts/container.py gives the name of the stage's cached image.
ARG PORT=rp2

FROM ${BASE} AS base
ENV COLDFRAME_CONTAINER=1 LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 DEBIAN_FRONTEND=noninteractive
COPY scripts/apt-install.sh /usr/local/bin/apt-install
ARG BASE_NOTE=debian:trixie-slim
RUN mkdir /etc/coldframe && echo "$BASE_NOTE" > /etc/coldframe/base \
    && printf 'path-exclude=/usr/share/%s/*\n' doc info locale man >> /etc/dpkg/dpkg.cfg.d/coldframe \
    && echo 'path-include=/usr/share/doc/*/copyright' >> /etc/dpkg/dpkg.cfg.d/coldframe
RUN apt-install \
        binutils=2.44-3 \
        bzip2=1.0.8-6 \
        ca-certificates=20250419 \
        cmake=3.31.6-2 \
        cpp-14=14.2.0-19 \
        faketime=0.9.10+2024-06-05+gba9ed5b2-0.6 \
        g++=4:14.2.0-1 \
        g++-14=14.2.0-19 \
        gcc=4:14.2.0-1 \
        gcc-14=14.2.0-19 \
        git=1:2.47.3-0+deb13u1 \
        libc6-dev=2.41-12+deb13u4 \
        libgcc-14-dev=14.2.0-19 \
        libstdc++-14-dev=14.2.0-19 \
        make=4.4.1-2 \
        ninja-build=1.12.1-1 \
        patch=2.8-2 \
        pkg-config=1.8.1-4 \
        python3=3.13.5-1 \
        python3-rich=13.9.4-1 \
        xz-utils=5.8.1-1+deb13u1

# Raspberry Pi RP2040 (and RP2350): of the C library for Arm only the variants that these chips can use,
# which saves 2 GB.
FROM base AS rp2
RUN for variant in arm thumb/v7 thumb/v8-a thumb/v8.1; do \
        echo "path-exclude=/usr/lib/arm-none-eabi/newlib/$variant*" >> /etc/dpkg/dpkg.cfg.d/coldframe; \
    done
RUN apt-install \
        binutils-arm-none-eabi=2.44-3+23+b1 \
        gcc-arm-none-eabi=15:14.2.rel1-1 \
        libnewlib-arm-none-eabi=4.5.0.20241231-1 \
        libnewlib-dev=4.5.0.20241231-1 \
        libstdc++-arm-none-eabi-newlib=15:14.2.rel1-1+29 \
        picotool=2.1.1+dfsg-1 \
        pioasm=2.1.1-1

# The simulated board: static x86-64 with musl, static 32-bit with glibc.
FROM base AS unix
RUN apt-install \
        gcc-14-multilib=14.2.0-19 \
        gcc-multilib=4:14.2.0-1 \
        lib32gcc-14-dev=14.2.0-19 \
        libc6-dev-i386=2.41-12+deb13u4 \
        linux-libc-dev=6.12.107-1 \
        musl-dev=1.2.5-3.1~deb13u1 \
        musl-tools=1.2.5-3.1~deb13u1

# The instruction sets of ESP8266 and ESP32-C3, for the device tests; those run in the QEMU of the host.
FROM base AS qemu
RUN apt-install \
        binutils-riscv64-unknown-elf=2.44-3+7+b1 \
        binutils-xtensa-lx106=2.44-3+6+b2 \
        gcc-riscv64-unknown-elf=14.2.0+19 \
        gcc-xtensa-lx106=13.3.0-16+14+b4 \
        picolibc-riscv64-unknown-elf=1.8.10-2 \
        picolibc-xtensa-lx106-elf=1.8.10-2

# ESP8266. The toolchain that MicroPython itself uses (esp-open-sdk 2018-06-10) is a source like any other:
# pinned in sources.toml, unpacked by the build, in front of this one in PATH. Debian's compiler is the
# second: with the vendor SDK from its other origin it links the port, to see that it fits.
FROM base AS esp8266
RUN apt-install \
        binutils-xtensa-lx106=2.44-3+6+b2 \
        esptool=4.7.0+dfsg-0.1 \
        gcc-xtensa-lx106=13.3.0-16+14+b4 \
        picolibc-xtensa-lx106-elf=1.8.10-2 \
        python3-serial=3.5-2

# ESP32, -C3 and -S3: ESP-IDF with the compilers that its own installer chooses and verifies.
# The tag and commit are those of [source.esp-idf] in sources.toml; a test compares them.
FROM base AS esp32
RUN apt-install \
        bison=2:3.8.2+dfsg-1+b2 \
        dfu-util=0.11-3 \
        flex=2.6.4-8.2+b4 \
        gperf=3.2.1-1 \
        libffi-dev=3.4.8-2 \
        libssl-dev=3.5.7-1~deb13u2 \
        libusb-1.0-0=2:1.0.28-1 \
        python3-pip=25.1.1+dfsg-1 \
        python3-venv=3.13.5-1 \
        wget=1.25.0-2
ARG IDF_URL=https://github.com/espressif/esp-idf.git
ARG IDF_TAG=v5.4.2
ARG IDF_COMMIT=f5c3654a1c2d2a01f7f67def7a0dc48e691f63c0
ENV IDF_PATH=/opt/esp-idf IDF_TOOLS_PATH=/opt/espressif
# The commit names those of the submodules, so one comparison covers the whole tree.
RUN git clone --depth=1 --branch="$IDF_TAG" "$IDF_URL" "$IDF_PATH" \
    && cd "$IDF_PATH" \
    && test "$(git rev-parse HEAD)" = "$IDF_COMMIT" \
    && git submodule update --init --recursive --depth=1 \
    && ./install.sh esp32,esp32c3,esp32s3 \
    && rm -rf "$IDF_TOOLS_PATH/dist"
# The components that MicroPython's port fetches while it is built (main/idf_component.yml, versions as in its
# lock files) are put into a mirror in the image, and ESP-IDF told to look there: the build has no network.
RUN bash -c '. "$IDF_PATH/export.sh" \
        && for component in "mdns==1.1.0" "lan867x==1.0.3" "esp_tinyusb~1.7.6"; do \
               compote registry sync --component "espressif/$component" --resolution latest /opt/idf-components \
               || exit 1; \
           done' \
    && printf 'profiles:\n  default:\n    local_storage_url:\n      - file:///opt/idf-components\n' \
        > "$IDF_TOOLS_PATH/idf_component_manager.yml"

# The build: no step from here on reaches the network.
FROM ${PORT} AS build
ARG BOARDS
ARG JOBS=
ARG LOCKED=
ARG COLDFRAME_COMMIT=
ARG SOURCE_DATE_EPOCH=
ENV COLDFRAME_CACHE=/usr/src/coldframe/build/cache
# Not /coldframe: that is what stands for the project's folder in debug information, and gcc numbers the files
# there differently where the two are the same.
WORKDIR /usr/src/coldframe
COPY . ./
# The compilers' logs are printed between two marks: it is the one way out of a stage that may have failed.
# All in one stream (2>&1): of two, a message could overtake a mark.
RUN --mount=type=cache,id=coldframe-mpy-cross,target=/usr/src/coldframe/build/cache/mpy-cross \
    python3 scripts/build.py ${JOBS:+--jobs $JOBS} ${LOCKED:+--locked} --out /dist $BOARDS 2>&1; status=$?; \
    for log in build/*/build.log; do test -f "$log" && echo "::: $log" && cat "$log" && echo ":::"; done; \
    exit $status

# Nothing but the files to keep.
FROM scratch AS outputs
COPY --from=build /dist/ /
