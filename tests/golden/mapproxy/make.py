#!/usr/bin/env python3
"""Makes the reference pictures of the differential test with MapProxy itself.

    python3 -m venv venv && venv/bin/pip install MapProxy==7.0.0
    target/debug/sample-wms 127.0.0.1:0        # prints its address
    venv/bin/python tests/golden/mapproxy/make.py http://127.0.0.1:PORT
"""
import os
import sys
import tempfile

from mapproxy.wsgiapp import make_wsgi_app

here = os.path.dirname(os.path.abspath(__file__))
upstream = sys.argv[1].rstrip('/')
with tempfile.TemporaryDirectory() as work:
    config = os.path.join(work, 'mapproxy.yaml')
    text = open(os.path.join(here, 'mapproxy.yaml')).read()
    with open(config, 'w') as file:
        file.write(text.replace('@UPSTREAM@', upstream).replace('@CACHE@', work + '/cache'))
    app = make_wsgi_app(config)
    for line in open(os.path.join(here, 'requests.txt')):
        if line.startswith('#') or not line.strip():
            continue
        name, _, target = (part.strip() for part in line.split('|'))
        path, _, query = target.partition('?')
        status = []
        body = b''.join(app({
            'REQUEST_METHOD': 'GET', 'PATH_INFO': path, 'SCRIPT_NAME': '', 'QUERY_STRING': query,
            'SERVER_NAME': 'localhost', 'SERVER_PORT': '80', 'HTTP_HOST': 'localhost', 'wsgi.url_scheme': 'http',
        }, lambda line, headers, _=None: status.extend([line, dict((k.lower(), v) for k, v in headers).get('content-type')])))
        kind = status[1] or ''
        if not kind.startswith('image/'):
            sys.exit(f'{name}: {status} {body[:500]!r}')
        with open(os.path.join(here, name + ('.jpeg' if 'jpeg' in kind else '.png')), 'wb') as file:
            file.write(body)
        print(f'{name}: {len(body)} bytes')
