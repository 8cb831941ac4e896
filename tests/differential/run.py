#!/usr/bin/env python3
"""Our answers beside those of MapProxy: the same configurations, sources and requests. See README.md.

    run.py --mapproxy target/debug/mapproxy --requests 2000 DIRECTORY
"""
import argparse
import collections
import concurrent.futures
import http.client
import io
import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote_to_bytes

import compare
import upstream
from configurations import of_here
from generate import Generator, Offer
from known import FIRST, reason
from mapproxy.wsgiapp import make_wsgi_app


class LastError(logging.Handler):
    """Remembers what MapProxy logs of an internal error."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.error = ''

    def emit(self, record):
        if record.exc_info:
            self.error = repr(record.exc_info[1])


class Oracle:
    """MapProxy as a WSGI application in this process."""

    def __init__(self, configuration):
        self.app = make_wsgi_app(configuration)
        self.log = LastError()
        logging.getLogger('mapproxy').addHandler(self.log)

    def get(self, target):
        path, _, query = target.partition('?')
        told = []
        environment = {
            'REQUEST_METHOD': 'GET', 'SCRIPT_NAME': '', 'PATH_INFO': unquote_to_bytes(path).decode('latin-1'),
            'QUERY_STRING': query, 'SERVER_NAME': 'localhost', 'SERVER_PORT': '80', 'HTTP_HOST': 'localhost',
            'SERVER_PROTOCOL': 'HTTP/1.1', 'wsgi.url_scheme': 'http', 'wsgi.input': io.BytesIO(), 'wsgi.errors': io.StringIO(),
            'wsgi.version': (1, 0), 'wsgi.multithread': True, 'wsgi.multiprocess': False, 'wsgi.run_once': False,
        }
        try:
            body = b''.join(self.app(environment, lambda status, headers, _=None: told.extend([status, headers])))
        except Exception as error:  # a server around it would answer 500
            return 500, {'content-type': 'text/plain'}, repr(error).encode()
        if body.startswith(b'internal error'):
            body += b': ' + self.log.error.encode()
        return int(told[0].split()[0]), {name.lower(): value for name, value in told[1]}, body


class Ours:
    """The `mapproxy` binary as a process of its own."""

    def __init__(self, binary, configuration):
        command = [binary, 'serve', configuration, '--listen', '127.0.0.1:0', '--workers', '1', '--log', 'warn']
        # nobody reads its standard output once it listens
        command += ['--access-log', 'off']
        # the sources are drawn by this process, which may be slow where much else runs
        command += ['--request-timeout', '10m', '--upstream-timeout', '10m']
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            if 'listening on http://' in line:
                self.address = line.split('http://')[1].strip()
                break
        else:
            self.log.seek(0)
            raise RuntimeError(self.log.read().decode())
        self.connection = http.client.HTTPConnection(self.address, timeout=600)

    def get(self, target):
        # `localhost`, as for the oracle: addresses in documents are the same then
        headers = {'Host': 'localhost'}
        try:
            self.connection.request('GET', target, headers=headers)
            answer = self.connection.getresponse()
        except http.client.RemoteDisconnected:  # it was idle for too long while the oracle worked
            self.connection.close()
            self.connection.request('GET', target, headers=headers)
            answer = self.connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()

    def stop(self):
        self.connection.close()
        self.process.terminate()
        self.process.wait()


class Tally:
    """What agreed and what did not, by kind of request and difference."""

    def __init__(self):
        self.asked = self.agreed = self.known = self.different = 0
        self.groups = collections.defaultdict(list)
        self.reasons = collections.Counter()

    def add(self, configuration, kind, target, theirs, ours, again):
        """Whether the answers differ for an unknown reason. `again()` answers with those to the same request, asked
        once more."""
        self.asked += 1
        found = compare.differences(theirs, ours)
        if not found:
            self.agreed += 1
            return False
        explained = [reason(kind, target, aspect, detail, theirs, ours) for aspect, detail in found]
        if not all(explained) and {aspect for aspect, _ in found} <= {'pixels', 'background'}:
            if not compare.differences(*again()):
                explained = [FIRST]
        if all(explained):
            self.known += 1
            self.reasons.update(set(explained))
            return False
        self.different += 1
        for (aspect, detail), told in zip(found, explained):
            if told is None:
                # pixels are one group whatever their distance
                group = '' if aspect in ('pixels', 'background') else detail[:100]
                bodies = [side[2][:300] for side in (theirs, ours) if not compare.media_type(side[1]).startswith('image/')]
                self.groups[kind, aspect, group].append((f'{configuration} {self.asked}', target, detail, bodies))
        return True

    def take(self, other):
        """Adds the counts of another."""
        for count in ('asked', 'agreed', 'known', 'different'):
            setattr(self, count, getattr(self, count) + getattr(other, count))
        self.reasons.update(other.reasons)
        for group, cases in other.groups.items():
            self.groups[group] += cases

    def report(self, examples):
        lines = [f'{self.asked} requests: {self.agreed} agreed, {self.known} differ for a known reason, '
                 f'{self.different} differ', '']
        lines += [f'{count:6} {why}' for why, count in self.reasons.most_common()]
        for (kind, aspect, group), cases in sorted(self.groups.items(), key=lambda item: -len(item[1])):
            lines += ['', f'{len(cases):6} {kind}: {aspect} {group}']
            for configuration, target, detail, bodies in cases[:examples]:
                lines += [f'         {configuration} {target}', f'           {detail}']
                if aspect in ('status', 'type'):
                    lines += [f'           {body!r}' for body in bodies]
        return '\n'.join(lines) + '\n'


def left_out(name, why):
    """A line for a configuration that cannot be compared."""
    return None, f'{name}: left out: {why}'


def compared(path, arguments):
    """(tally, line for people) of one configuration; no tally if it is left out. MapProxy remembers much between
    requests and configurations (versions of the WMS, for one), so each has a process of its own."""
    logging.getLogger('mapproxy').propagate = False
    logging.getLogger().addHandler(logging.NullHandler())
    name, tally, started = path.stem, Tally(), time.monotonic()
    sources = upstream.start()
    with tempfile.TemporaryDirectory() as theirs_folder, tempfile.TemporaryDirectory() as ours_folder:
        try:
            oracle = Oracle(of_here(path, sources, theirs_folder))
            offer = Offer(oracle.get)
        except Exception as error:  # not a configuration of MapProxy, or one that needs more than sources
            return left_out(name, f'{type(error).__name__} {str(error)[:200]}')
        if not (offer.wms or offer.wmts or offer.tile_sets or offer.templates):
            return left_out(name, 'it offers nothing')
        ours = Ours(arguments.mapproxy, of_here(path, sources, ours_folder))
        try:
            generator = Generator(offer, f'{arguments.seed} {name}')
            for _ in range(arguments.requests):
                kind, target = generator.next()
                theirs, mine = oracle.get(target), ours.get(target)
                differ = tally.add(name, kind, target, theirs, mine, lambda: (oracle.get(target), ours.get(target)))
                if arguments.keep and differ and compare.media_type(theirs[1]).startswith('image/'):
                    os.makedirs(arguments.keep, exist_ok=True)
                    for side, answer in (('theirs', theirs), ('ours', mine)):
                        Path(arguments.keep, f'{name}-{tally.asked}-{side}').write_bytes(answer[2])
        finally:
            ours.stop()
    return tally, (f'{name}: {tally.asked} requests, {tally.agreed} agreed, {tally.known} known, {tally.different} differ '
                   f'({time.monotonic() - started:.0f} s)')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configurations', nargs='+', help='directories of configurations, or configurations')
    parser.add_argument('--mapproxy', required=True, help='our binary')
    parser.add_argument('--requests', type=int, default=2000, help='for each configuration')
    parser.add_argument('--most', type=int, default=20, help='configurations that are compared')
    parser.add_argument('--jobs', type=int, default=1, help='configurations at a time')
    parser.add_argument('--seed', default='1')
    parser.add_argument('--report', default=None, help='file for the report')
    parser.add_argument('--examples', type=int, default=3, help='of each difference')
    parser.add_argument('--keep', default=None, help='directory for pictures that differ')
    arguments = parser.parse_args()
    paths = []
    for path in map(Path, arguments.configurations):
        paths += [path] if path.is_file() else sorted(path.glob('*.yaml'))
    total, compared_so_far = Tally(), 0
    with concurrent.futures.ProcessPoolExecutor(
            arguments.jobs, mp_context=multiprocessing.get_context('spawn'), max_tasks_per_child=1) as pool:
        waiting = list(paths)
        while waiting and compared_so_far < arguments.most:
            part = waiting[:arguments.most - compared_so_far]
            del waiting[:len(part)]
            for tally, line in pool.map(compared, part, [arguments] * len(part)):
                print(line, flush=True)
                if tally:
                    compared_so_far += 1
                    total.take(tally)
                    if arguments.report:  # of what is done so far: the whole takes hours
                        Path(arguments.report).write_text(total.report(arguments.examples), encoding='utf-8')
    print(total.report(arguments.examples))
    return 1 if total.different else 0


if __name__ == '__main__':
    sys.exit(main())
